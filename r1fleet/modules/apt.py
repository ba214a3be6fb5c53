"""Install, upgrade and remove packages with apt-get."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.modules import _debfile as debfile
from r1fleet.modules._aptget import LOCK_SECONDS, apt_get, did_something
from r1fleet.modules._aptupdate import ARGUMENTS as UPDATE_ARGUMENTS
from r1fleet.modules._aptupdate import cache_state, refresh
from r1fleet.modules._dpkg import LISTS, Installed, Package, automatic, compare_versions, installed, offered

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str", "aliases": ["package", "pkg"]},
    "state": {"type": "str", "default": "present", "choices": ["absent", "build-dep", "fixed", "latest", "present"]},
    "allow_change_held_packages": {"type": "bool", "default": False},
    "allow_downgrade": {
        "type": "bool",
        "default": False,
        "aliases": ["allow-downgrade", "allow-downgrades", "allow_downgrades"],
    },
    "allow_unauthenticated": {"type": "bool", "default": False, "aliases": ["allow-unauthenticated"]},
    "auto_install_module_deps": {"type": "bool", "default": True},
    "autoclean": {"type": "bool", "default": False},
    "autoremove": {"type": "bool", "default": False},
    "cache_valid_time": {"type": "int", "default": 0},
    "clean": {"type": "bool", "default": False},
    "deb": {"type": "path"},
    "default_release": {"type": "str", "aliases": ["default-release"]},
    "dpkg_options": {"type": "str", "default": "force-confdef,force-confold"},
    "fail_on_autoremove": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "force_apt_get": {"type": "bool", "default": False},
    "install_recommends": {"type": "bool", "aliases": ["install-recommends"]},
    "lock_timeout": {"type": "int", "default": LOCK_SECONDS},
    "only_upgrade": {"type": "bool", "default": False},
    "policy_rc_d": {"type": "int"},
    "purge": {"type": "bool", "default": False},
    "update_cache": {"type": "bool", "aliases": ["update-cache"]},
    "upgrade": {"type": "str", "default": "no", "choices": ["dist", "full", "no", "safe", "yes"]},
    **UPDATE_ARGUMENTS,
}
MUTUALLY_EXCLUSIVE = [["deb", "name"], ["deb", "upgrade"]]
LOCAL = True
CHECK_MODE = True

_SPEC = re.compile(r"^([^<>=]+?)\s*(?:(>=|=)\s*(.+))?$")
_UNKNOWN = re.compile(r"Unable to locate package (\S+)|Couldn't find any package by (?:glob|regex) '(.+)'")


class Wanted(NamedTuple):
    """One entry of ``name``: a package and, maybe, a version."""

    name: str
    relation: str
    version: str

    @property
    def words(self) -> str:
        """The entry as apt-get takes it."""
        return "{}={}".format(self.name, self.version) if self.relation == "=" else self.name


def run(ctx: Context) -> dict[str, Any]:
    """Do what the arguments ask, in Ansible's order: clean, update, upgrade, then packages."""
    args = ctx.args
    names = [name for name in args["name"] or [] if name]
    if args["clean"]:
        reply = _clean(ctx)
        if not names and args["upgrade"] == "no" and not args["deb"]:
            return reply
    cache = refresh(ctx) if args["update_cache"] or args["cache_valid_time"] else cache_state()
    if args["upgrade"] != "no":
        return dict(_upgrade(ctx, args["upgrade"]), **cache)
    if args["deb"]:
        return dict(debfile.install_file(ctx, args["deb"]), **cache)
    if "*" in names:
        if args["state"] != "latest":
            ctx.fail("unable to install all packages: name=* needs state=latest")
        return dict(_upgrade(ctx, "yes"), **cache)
    if names or args["state"] == "fixed":
        try:
            reply = _packages(ctx, names)
            return reply if args["state"] == "absent" else dict(reply, **cache)
        except ModuleFailed as error:
            error.reply = dict(cache, **error.reply)
            raise
    if args["autoclean"] or args["autoremove"]:
        return _tidy(ctx, "autoclean" if args["autoclean"] else "autoremove")
    return dict(cache, changed=cache["cache_updated"])


def _packages(ctx: Context, names: list[str]) -> dict[str, Any]:
    state = ctx.args["state"]
    if state == "fixed":
        reply = apt_get(ctx, "--fix-broken", "install")
        return dict(reply, changed=did_something(reply["stdout"]))
    if state == "build-dep":
        reply = apt_get(ctx, "build-dep", *names)
        return dict(reply, changed=did_something(reply["stdout"]))
    wanted = [single for name in names for single in _expand(ctx, name, state)]
    return _absent(ctx, wanted) if state == "absent" else _present(ctx, wanted)


def _expand(ctx: Context, text: str, state: str) -> list[Wanted]:
    match = _SPEC.match(text.strip())
    if match is None:
        ctx.fail("'{}' is not a package name, name=version or name>=version".format(text))
    name, relation, version = match.group(1), match.group(2) or "", match.group(3) or ""
    if not any(char in name for char in "*?["):
        return [Wanted(name, relation, version)]
    found = sorted(fnmatch.filter(installed(ctx).packages, name)) if state == "absent" else []
    found = found or sorted(fnmatch.filter(_names(ctx), name))
    if not found:
        ctx.fail("No package(s) matching '{}' available".format(name))
    return [Wanted(single, relation, version) for single in found]


def _names(ctx: Context) -> set[str]:
    state = os.stat(LISTS).st_mtime_ns if os.path.isdir(LISTS) else 0
    known = ctx.cache.get("apt names")
    if not known or known[0] != state:
        done = ctx.run([ctx.need("apt-cache"), "pkgnames"], locale="C")
        known = ctx.cache["apt names"] = (state, frozenset(done.text.split()))
    return set(known[1]) | set(installed(ctx).packages)


def _present(ctx: Context, wanted: list[Wanted]) -> dict[str, Any]:
    here = installed(ctx)
    missing = [single for single in wanted if not _satisfied(ctx, here, single)]
    if ctx.args["only_upgrade"]:
        missing = [single for single in missing if here.installed(single.name)]
    latest = [single for single in wanted if single not in missing and not single.version]
    if ctx.args["state"] == "latest":
        missing += [single for single in latest if not ctx.args["only_upgrade"] or here.installed(single.name)]
    if not missing:
        _keep(ctx, wanted)
        return {"changed": False}
    return _install(ctx, wanted, missing)


def _install(ctx: Context, wanted: list[Wanted], missing: list[Wanted]) -> dict[str, Any]:
    extra = (["--only-upgrade"] if ctx.args["only_upgrade"] else []) + (
        ["--auto-remove"] if ctx.args["autoremove"] else []
    )
    try:
        reply = apt_get(ctx, *extra, "install", *[_checked(ctx, single) for single in missing])
    except ModuleFailed as error:
        unknown = _UNKNOWN.search(error.reply.get("stderr", ""))
        if unknown:
            name = unknown.group(1) or unknown.group(2)
            ctx.fail("No package matching '{}' is available".format(name), **_outputs(error.reply))
        if re.search(r"Version '.*' for '.*' was not found", error.reply.get("stderr", "")):
            text = ", ".join(single.words for single in missing if single.version)
            ctx.fail("no available installation candidate for {}".format(text), **_outputs(error.reply))
        raise
    changed = did_something(reply["stdout"])
    if not ctx.check:
        _keep(ctx, wanted)
    return dict(reply, changed=True) if changed else {"changed": False}


def _outputs(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name not in ("failed", "msg", "changed")}


def _satisfied(ctx: Context, here: Installed, single: Wanted) -> bool:
    package = here.installed(single.name)
    if package is None:
        return not single.version and _provided(ctx, here, single.name)
    if single.relation == "=":
        # Of a pattern apt-get knows whether a newer version fits it, too; it installs that one, as Ansible does.
        return package.version == single.version
    return not single.version or compare_versions(package.version, single.version) >= 0


def _provided(ctx: Context, here: Installed, name: str) -> bool:
    """Tell whether ``name`` is purely virtual and an installed package provides it."""
    if name not in here.provided:
        return False
    real = offered(name)
    if real is None:
        real = bool(ctx.run([ctx.need("apt-cache"), "show", "--no-all-versions", name], locale="C").stdout.strip())
    return not real


def _checked(ctx: Context, single: Wanted) -> str:
    """Return the entry for apt-get; of ``>=`` apt knows nothing, so look at its candidate first."""
    if single.relation != ">=":
        return single.words
    done = ctx.run([ctx.need("apt-cache"), "policy", single.name], locale="C")
    match = re.search(r"^ *Candidate: (\S+)", done.text, re.MULTILINE)
    if match is None or match.group(1) == "(none)" or compare_versions(match.group(1), single.version) < 0:
        ctx.fail("no available installation candidate for {}>={}".format(single.name, single.version))
    return "{}={}".format(single.name, match.group(1))


def _keep(ctx: Context, wanted: list[Wanted]) -> None:
    """Mark packages that were installed for others' sake as wanted by themselves."""
    marked = automatic(ctx, [single.name for single in wanted])
    if marked and not ctx.check and ctx.which("apt-mark"):
        ctx.run([ctx.need("apt-mark"), "manual", *marked], locale="C")


def _absent(ctx: Context, wanted: list[Wanted]) -> dict[str, Any]:
    here = installed(ctx)
    present = [single.name for single in wanted if _removable(here.find(single.name), purge=ctx.args["purge"])]
    if not present:
        return {"changed": False}
    flags = ["--purge"] if ctx.args["purge"] else []
    flags += ["--auto-remove"] if ctx.args["autoremove"] else []
    return dict(apt_get(ctx, *flags, "remove", *present), changed=True)


def _removable(package: Package | None, *, purge: bool) -> bool:
    if package is None or package.state == "not-installed":
        return False
    return package.state != "config-files" or purge


def _upgrade(ctx: Context, kind: str) -> dict[str, Any]:
    words = ["dist-upgrade"] if kind in ("dist", "full") else ["upgrade", "--with-new-pkgs"]
    if ctx.args["autoremove"]:
        words.append("--auto-remove")
    reply = apt_get(ctx, *words)
    return dict(reply, changed=did_something(reply["stdout"]), msg=reply["stdout"])


def _tidy(ctx: Context, operation: str) -> dict[str, Any]:
    reply = apt_get(ctx, *(["--purge"] if ctx.args["purge"] else []), operation)
    sign = "Del " if operation == "autoclean" else "The following packages will be REMOVED"
    return dict(reply, changed=sign in reply["stdout"])


def _clean(ctx: Context) -> dict[str, Any]:
    reply = apt_get(ctx, "clean")
    return dict(reply, changed=True, msg=reply["stdout"])
