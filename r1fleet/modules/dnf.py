"""Install, upgrade and remove packages with dnf (or yum)."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context
from r1fleet.agent.process import Done

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str", "aliases": ["pkg"], "default": []},
    "state": {"type": "str", "choices": ["absent", "installed", "latest", "present", "removed"]},
    "allow_downgrade": {"type": "bool", "default": False},
    "allowerasing": {"type": "bool", "default": False},
    "autoremove": {"type": "bool", "default": False},
    "best": {"type": "bool"},
    "bugfix": {"type": "bool", "default": False},
    "cacheonly": {"type": "bool", "default": False},
    "conf_file": {"type": "str"},
    "disable_gpg_check": {"type": "bool", "default": False},
    "disable_plugin": {"type": "list", "elements": "str", "default": []},
    "disablerepo": {"type": "list", "elements": "str", "default": []},
    "download_only": {"type": "bool", "default": False},
    "enable_plugin": {"type": "list", "elements": "str", "default": []},
    "enablerepo": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "install_weak_deps": {"type": "bool", "default": True},
    "installroot": {"type": "str", "default": "/"},
    "lock_timeout": {"type": "int", "default": 30},
    "nobest": {"type": "bool"},
    "releasever": {"type": "str"},
    "security": {"type": "bool", "default": False},
    "skip_broken": {"type": "bool", "default": False},
    "sslverify": {"type": "bool", "default": True},
    "update_cache": {"type": "bool", "default": False, "aliases": ["expire-cache"]},
    "update_only": {"type": "bool", "default": False},
    "use_backend": {"type": "str", "default": "auto"},
    "validate_certs": {"type": "bool", "default": True},
}
LOCAL = True
CHECK_MODE = True

_NOTHING = re.compile(r"^Nothing to do\.?$", re.MULTILINE)
_ABORTED = re.compile(r"^Operation aborted", re.MULTILINE)


class Found(NamedTuple):
    """One installed package."""

    name: str
    version: str
    release: str
    architecture: str

    @property
    def spellings(self) -> list[str]:
        """The ways in which people name it."""
        full = "{}-{}-{}".format(self.name, self.version, self.release)
        shorter = "{}-{}".format(self.name, self.version)
        return [self.name, "{}.{}".format(self.name, self.architecture), shorter, full, full + "." + self.architecture]


def run(ctx: Context) -> dict[str, Any]:
    """Do what the arguments ask: refresh, then packages."""
    args = ctx.args
    state = args["state"] or ("absent" if args["autoremove"] else "present")
    if args["update_cache"] and not ctx.check:
        _must(ctx, _dnf(ctx, "makecache", "--refresh"))
    if not args["name"]:
        if args["autoremove"]:
            return _transaction(ctx, "autoremove", [])
        if args["update_cache"]:
            return {"changed": False, "rc": 0, "results": [], "msg": "Cache updated"}
        ctx.fail("one of the following is required: name, autoremove, update_cache")
    names = [single.strip() for entry in args["name"] for single in entry.split(",") if single.strip()]
    if state in ("absent", "removed"):
        present = [name for name in names if name.startswith("@") or _is_installed(ctx, name)]
        return _transaction(ctx, "remove", present) if present else _done()
    if state == "latest":
        return _latest(ctx, names)
    missing = [name for name in names if not _is_installed(ctx, name)]
    return _transaction(ctx, "install", missing) if missing else _done()


def _latest(ctx: Context, names: list[str]) -> dict[str, Any]:
    if names == ["*"]:
        return _transaction(ctx, "upgrade", [])
    if ctx.args["update_only"]:
        present = [name for name in names if _is_installed(ctx, name)]
        return _transaction(ctx, "upgrade", present) if present else _done()
    # `install` upgrades what is installed in an older version.
    return _transaction(ctx, "install", names)


def _done() -> dict[str, Any]:
    return {"changed": False, "rc": 0, "results": [], "msg": "Nothing to do"}


def _installed(ctx: Context) -> list[Found]:
    if "rpm packages" not in ctx.cache:
        form = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\n"
        done = ctx.run([ctx.need("rpm"), "--root", ctx.args["installroot"], "-qa", "--queryformat", form], locale="C")
        rows = (line.split("\t") for line in done.text.splitlines())
        ctx.cache["rpm packages"] = [Found(*row) for row in rows if len(row) == 4]
    found: list[Found] = ctx.cache["rpm packages"]
    return found


def _is_installed(ctx: Context, name: str) -> bool:
    if name.startswith(("@", "/")) or "://" in name or name.endswith(".rpm") or re.search(r"[<>=]", name):
        return False
    if any(fnmatch.fnmatch(spelling, name) for package in _installed(ctx) for spelling in package.spellings):
        return True
    done = ctx.run([ctx.need("rpm"), "--root", ctx.args["installroot"], "-q", "--whatprovides", name], locale="C")
    return done.rc == 0


def _transaction(ctx: Context, verb: str, names: list[str]) -> dict[str, Any]:
    done = _dnf(ctx, verb, *(["--assumeno"] if ctx.check else []), "--", *names)
    ctx.cache.pop("rpm packages", None)
    text = done.text
    if ctx.check and _ABORTED.search(text + done.error):
        return dict(
            _results(text), changed=True, rc=0, msg="Check mode: No changes made, but would have if not in check mode"
        )
    _must(ctx, done)
    return dict(_results(text), changed=not _NOTHING.search(text), rc=0, msg="")


def _results(text: str) -> dict[str, Any]:
    """Read the lists that dnf prints after a transaction, as ``Installed: name`` and so on."""
    results, verb = [], ""
    for line in text.splitlines():
        if re.match(r"^(Installed|Upgraded|Removed|Downgraded|Reinstalled):", line):
            verb = line.split(":")[0]
        elif verb and line.startswith("  "):
            results += ["{}: {}".format(verb, word) for word in line.split()]
        else:
            verb = ""
    return {"results": results}


def _must(ctx: Context, done: Done) -> None:
    if done.rc:
        text = done.error.strip() or done.text.strip()
        ctx.fail("Failed to run dnf: {}".format(text), rc=done.rc, results=[], failures=text.splitlines())


def _dnf(ctx: Context, verb: str, *words: str) -> Done:
    args = ctx.args
    program = ctx.which("dnf") or ctx.which("dnf5") or ctx.need("yum")
    flags = ["-y", "--setopt=install_weak_deps={}".format(args["install_weak_deps"])]
    for argument, flag in (
        ("allowerasing", "--allowerasing"),
        ("best", "--best"),
        ("bugfix", "--bugfix"),
        ("cacheonly", "--cacheonly"),
        ("disable_gpg_check", "--nogpgcheck"),
        ("download_only", "--downloadonly"),
        ("nobest", "--nobest"),
        ("security", "--security"),
        ("skip_broken", "--skip-broken"),
    ):
        flags += [flag] if args[argument] else []
    for argument in ("disablerepo", "enablerepo", "exclude"):
        flags += ["--{}={}".format(argument, entry) for entry in args[argument]]
    flags += ["--disableplugin=" + entry for entry in args["disable_plugin"]]
    flags += ["--enableplugin=" + entry for entry in args["enable_plugin"]]
    flags += ["--config=" + args["conf_file"]] if args["conf_file"] else []
    flags += ["--releasever=" + args["releasever"]] if args["releasever"] else []
    flags += ["--installroot=" + args["installroot"]] if args["installroot"] != "/" else []
    flags += ["--setopt=sslverify=false"] if not (args["sslverify"] and args["validate_certs"]) else []
    return ctx.run([program, *flags, verb, *words], locale="C")
