"""Keep repositories of dnf and yum in their files."""

from __future__ import annotations

import configparser
import io
import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, read_bytes, write_bytes
from r1fleet.modules._edits import wanted_mode

_TEXTS = (
    "bandwidth cost deltarpm_metadata_percentage deltarpm_percentage gpgcakey include metadata_expire metalink "
    "mirrorlist mirrorlist_expire priority proxy proxy_username retries throttle timeout ui_repoid_vars username"
).split()
_SWITCHES = (
    "async countme enabled enablegroups gpgcheck keepalive module_hotfixes protect repo_gpgcheck s3_enabled "
    "skip_if_unavailable ssl_check_cert_permissions"
).split()
_LINES = ("baseurl", "gpgkey")
_WORDS = ("exclude", "includepkgs")
_OPTIONS: dict[str, dict[str, Any]] = dict(
    {name: {"type": "str"} for name in _TEXTS},
    **{name: {"type": "bool"} for name in _SWITCHES},
    **{name: {"type": "list", "elements": "str"} for name in _LINES},
    exclude={"type": "list", "elements": "str", "aliases": ["excludepkgs"]},
    includepkgs={"type": "list", "elements": "str"},
    failovermethod={"type": "str", "choices": ["roundrobin", "priority"]},
    http_caching={"type": "str", "choices": ["all", "packages", "none"]},
    ip_resolve={"type": "str", "choices": ["4", "6", "IPv4", "IPv6", "whatever"]},
    keepcache={"type": "str", "choices": ["0", "1"]},
    metadata_expire_filter={
        "type": "str",
        "choices": ["never", "read-only:past", "read-only:present", "read-only:future"],
    },
    password={"type": "str", "no_log": True},
    proxy_password={"type": "str", "no_log": True},
    sslcacert={"type": "str", "aliases": ["ca_cert"]},
    sslclientcert={"type": "str", "aliases": ["client_cert"]},
    sslclientkey={"type": "str", "aliases": ["client_key"]},
    sslverify={"type": "bool", "aliases": ["validate_certs"]},
)
ARGUMENTS: dict[str, dict[str, Any]] = dict(
    FILE_ARGUMENTS,
    **_OPTIONS,
    name={"type": "str", "required": True},
    description={"type": "str"},
    file={"type": "str"},
    reposdir={"type": "path", "default": "/etc/yum.repos.d"},
    state={"type": "str", "default": "present", "choices": ["present", "absent"]},
)
REQUIRED_IF = [
    ["state", "present", ["baseurl", "mirrorlist", "metalink"], True],
    ["state", "present", ["description"]],
]
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Bring one repository's section into the wanted state; the file's other sections stay."""
    args = ctx.args
    if not os.path.isdir(args["reposdir"]):
        ctx.fail("Repo directory '{}' does not exist.".format(args["reposdir"]))
    path = os.path.join(args["reposdir"], "{}.repo".format(args["file"] or args["name"]))
    sections = _read(ctx, path)
    before = _told(sections)
    sections.remove_section(args["name"])
    if args["state"] == "present":
        sections.read_dict({args["name"]: _values(args)})
    after = _told(sections)
    changed = before != after
    if changed and not ctx.check:
        _write(ctx, path, sections)
    if os.path.isfile(path):
        changed = apply_permissions(ctx, path) or changed
    reply: dict[str, Any] = {"changed": changed, "repo": args["name"], "state": args["state"]}
    if ctx.diff:
        reply["diff"] = {"before_header": path, "before": before, "after_header": path, "after": after}
    return reply


def _read(ctx: Context, path: str) -> configparser.RawConfigParser:
    sections = configparser.RawConfigParser()
    try:
        sections.read_string((read_bytes(path) or b"").decode("utf-8", "surrogateescape"), path)
    except configparser.Error as error:
        ctx.fail("{} cannot be read as a repository file: {}".format(path, " ".join(str(error).split())))
    return sections


def _values(args: dict[str, Any]) -> dict[str, str]:
    """Return the section's lines in the order of their names."""
    values = {name: args[name] for name in _OPTIONS if args[name] is not None}
    values["name"] = args["description"]
    for name, value in values.items():
        if isinstance(value, bool):
            values[name] = str(int(value))
        elif isinstance(value, list):
            values[name] = ("\n" if name in _LINES else " ").join(value)
    return dict(sorted(values.items()))


def _told(sections: configparser.RawConfigParser) -> str:
    """Write all sections in a fixed order, to compare and to show."""
    texts = []
    for name in sorted(sections.sections()):
        lines = ["{} = {}\n".format(key, value) for key, value in sorted(sections.items(name))]
        texts.append("[{}]\n{}\n".format(name, "".join(lines)))
    return "".join(texts)


def _write(ctx: Context, path: str, sections: configparser.RawConfigParser) -> None:
    """Put the file into place; a file without any repository goes."""
    if not sections.sections():
        os.unlink(path)
        return
    text = io.StringIO()
    sections.write(text)
    content = text.getvalue().encode("utf-8", "surrogateescape")
    write_bytes(path, content, mode=wanted_mode(ctx, path), in_place=bool(ctx.args["unsafe_writes"]))
