"""Where and as whom to log in: what an inventory's connection variables say, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from r1fleet.errors import InventoryError, Where
from r1fleet.inventory import Host

CONNECT_SECONDS = 10
_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_HONOURED = "UserKnownHostsFile, ProxyJump (-J), IdentityFile (-i) and ConnectTimeout"


@dataclass(frozen=True, slots=True)
class Target:
    """One host as SSH sees it; None and () leave the choice to the user's ssh_config."""

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    keys: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    jump: str | None = None
    timeout: int | None = None


def target_of(host: Host, *, password: str | None = None) -> Target:
    """Read a host's connection variables; raise InventoryError for an option that is not honoured."""
    variables = host.variables
    options: dict[str, list[str]] = {}
    for name in _ARGS:
        for option, value in _options(host.name, name, str(variables.get(name) or "")):
            options.setdefault(option, []).append(value)
    key = _first(variables, "ansible_ssh_private_key_file", "ansible_private_key_file")
    return Target(
        name=host.name,
        address=host.address,
        port=_number(host.name, "ansible_port", _first(variables, "ansible_port", "ansible_ssh_port")),
        user=_first(variables, "ansible_user", "ansible_ssh_user"),
        password=_first(variables, "ansible_password", "ansible_ssh_password", "ansible_ssh_pass") or password,
        keys=(*([key] if key else []), *options.get("identityfile", [])),
        known_hosts=tuple(
            path for value in options.get("userknownhostsfile", [])[:1] for path in _words(host.name, _ARGS[1], value)
        ),
        jump=next(iter(options.get("proxyjump", [])), None),
        timeout=_number(
            host.name,
            "ConnectTimeout",
            next(iter(options.get("connecttimeout", [])), None) or _first(variables, "ansible_timeout"),
        ),
    )


def _first(variables: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        if variables.get(name) not in (None, ""):
            return str(variables[name])
    return None


def _number(host: str, name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit():
        raise InventoryError(f"{name} is no number: {value}", where=Where(host=host), hint=f"correct {name}")
    return int(value)


def _options(host: str, variable: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield (option, value) for each of the four options that are honoured."""
    words = iter(_words(host, variable, text))
    for word in words:
        flag, rest = word[:2], word[2:]
        if flag not in ("-o", "-i", "-J"):
            raise _refused(host, variable, word)
        value = rest or next(words, "")
        if flag == "-i":
            yield "identityfile", value
        elif flag == "-J":
            yield "proxyjump", value
        else:
            yield from _named(host, variable, value)


def _words(host: str, variable: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InventoryError(
            f"{variable} cannot be read: {error}", where=Where(host=host), hint="close its quotes"
        ) from error


def _named(host: str, variable: str, text: str) -> Iterator[tuple[str, str]]:
    name, _, value = text.strip().partition("=") if "=" in text else text.strip().partition(" ")
    option, value = name.strip().lower(), value.strip()
    if option != "userknownhostsfile":  # which takes several paths, each quoted for itself
        value = value.strip('"')
    if option in ("userknownhostsfile", "proxyjump", "identityfile", "connecttimeout") and value:
        yield option, value
    elif option == "stricthostkeychecking" and value.lower() in ("yes", "true"):
        return
    elif option == "stricthostkeychecking":
        raise InventoryError(
            f"{variable}: {text} would accept whatever answers; r1fleet always checks host keys",
            where=Where(host=host),
            hint="take it out; --accept-new learns a key on first contact",
        )
    else:
        raise _refused(host, variable, f"-o {text}")


def _refused(host: str, variable: str, option: str) -> InventoryError:
    return InventoryError(
        f"{variable}: {option} is not honoured, only {_HONOURED} are",
        where=Where(host=host),
        hint="take it out, or put it into ~/.ssh/config",
    )
