"""Install, upgrade and remove packages, groups and module streams with dnf."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context
from r1fleet.modules._dnf import Transaction, refresh, split, transact
from r1fleet.modules._dnfquery import listed, offers
from r1fleet.modules._http import download
from r1fleet.modules._proc import read
from r1fleet.modules._rpmdb import Found, compare, installed, named, query, relation, satisfies

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
    "disable_excludes": {"type": "str"},
    "disable_gpg_check": {"type": "bool", "default": False},
    "disable_plugin": {"type": "list", "elements": "str", "default": []},
    "disablerepo": {"type": "list", "elements": "str", "default": []},
    "download_dir": {"type": "str"},
    "download_only": {"type": "bool", "default": False},
    "enable_plugin": {"type": "list", "elements": "str", "default": []},
    "enablerepo": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "install_repoquery": {"type": "bool", "default": True},
    "install_weak_deps": {"type": "bool", "default": True},
    "installroot": {"type": "str", "default": "/"},
    "list": {"type": "str"},
    "lock_timeout": {"type": "int", "default": 30},
    "nobest": {"type": "bool"},
    "releasever": {"type": "str"},
    "security": {"type": "bool", "default": False},
    "skip_broken": {"type": "bool", "default": False},
    "sslverify": {"type": "bool", "default": True},
    "update_cache": {"type": "bool", "default": False, "aliases": ["expire-cache"]},
    "update_only": {"type": "bool", "default": False},
    "use_backend": {"type": "str", "default": "auto", "choices": ["auto", "dnf", "yum", "yum4", "dnf4", "dnf5"]},
    "validate_certs": {"type": "bool", "default": True},
}
MUTUALLY_EXCLUSIVE = [["name", "list"], ["best", "nobest"]]
LOCAL = True
CHECK_MODE = True

_SPACED = (
    "It appears that a space separated string of packages was passed in as an argument. "
    "To operate on several packages, pass a comma separated string of packages or a list of packages."
)
_WOULD = "Check mode: No changes made, but would have if not in check mode"
_GLOB = re.compile(r"[*?\[]")


class Wish(NamedTuple):
    """What is asked for, by kind; groups are module streams, too."""

    packages: list[str]
    groups: list[str]
    files: list[str]

    @classmethod
    def of(cls, names: list[str]) -> Wish:
        """Sort names."""
        files = [name for name in names if "://" in name or name.endswith(".rpm")]
        groups = [name for name in names if name.startswith("@") and name not in files]
        return cls([name for name in names if name not in files + groups], groups, files)


def run(ctx: Context) -> dict[str, Any]:
    """Do what the arguments ask: refresh, then packages."""
    args = ctx.args
    names = split(args["name"])
    _check(ctx, names)
    if args["list"]:
        return {"changed": False, "msg": "", "results": listed(ctx, args["list"])}
    if os.geteuid() and not args["download_only"]:
        ctx.fail("This command has to be run under the root user.", results=[])
    if args["update_cache"]:
        refresh(ctx)
        if not names:
            return {"changed": False, "rc": 0, "results": [], "msg": "Cache updated"}
    state = args["state"] or ("absent" if args["autoremove"] else "present")
    notes: list[str] = []
    if state in ("absent", "removed"):
        steps = _absent(ctx, Wish.of(names), notes)
    elif state == "latest":
        steps = _latest(ctx, names, notes)
    else:
        steps = _present(ctx, Wish.of(names), notes)
    return _play(ctx, steps, notes)


def _check(ctx: Context, names: list[str]) -> None:
    if any(" " in name and not re.search("[@><=]", name) for name in names):
        ctx.fail(_SPACED)
    if ctx.args["autoremove"] and ctx.args["state"] not in (None, "absent"):
        ctx.fail("Autoremove should be used alone or with state=absent", results=[])


def _present(ctx: Context, wish: Wish, notes: list[str]) -> list[tuple[str, ...]]:
    files = _new_files(ctx, wish.files, notes)
    if ctx.args["update_only"]:
        return [("install", *files, *wish.groups), ("upgrade", *_here(ctx, wish.packages, notes))]
    missing = [name for name in wish.packages if not _is_satisfied(ctx, name)]
    return [("install", *files, *wish.groups, *missing)]


def _latest(ctx: Context, names: list[str], notes: list[str]) -> list[tuple[str, ...]]:
    if names == ["*"]:
        return [("upgrade", "*")]
    wish = Wish.of(names)
    files = _new_files(ctx, wish.files, notes)
    steps: list[tuple[str, ...]] = [("upgrade", name) for name in wish.groups]
    if ctx.args["update_only"]:
        return [("install", *files), *steps, ("upgrade", *_here(ctx, wish.packages, notes))]
    # `install` upgrades what is installed in an older version.
    names = [name for name in wish.packages if not _is_newer_here(ctx, name)]
    return [*steps, ("install", *files, *names)]


def _absent(ctx: Context, wish: Wish, notes: list[str]) -> list[tuple[str, ...]]:
    if wish.files:
        ctx.fail("Cannot remove paths -- please specify package name.", results=[])
    here = installed(ctx, ctx.args["installroot"])
    gone = [name for name in wish.packages if not named(here, name) and not _provided(ctx, name)]
    notes += ["No match for argument: {}".format(name) for name in gone]
    present = [name for name in wish.packages if name not in gone]
    steps: list[tuple[str, ...]] = [("remove", *wish.groups, *present)]
    return [*steps, ("autoremove", "")] if ctx.args["autoremove"] else steps


def _play(ctx: Context, steps: list[tuple[str, ...]], notes: list[str]) -> dict[str, Any]:
    """Run the steps that have something to do, and tell the sum."""
    results, changed = list(notes), False
    for verb, *words in steps:
        if not words:
            continue
        before = installed(ctx, ctx.args["installroot"])
        streams = {name: _stream(ctx, name) for name in words if name.startswith("@")}
        done = transact(ctx, verb, *(word for word in words if word))
        results += [_told_of_group(ctx, name, streams[name], verb, done) for name in streams]
        results += _told(ctx, done, before)
        # Profiles that go, and no package with them, are no change, as with Ansible.
        news = bool(done.removed) if verb == "remove" else done.changes
        if news and verb == "remove" and any(streams.values()):
            transact(ctx, "module reset", *(_module(name) for name in streams if streams[name]))
        changed = changed or news
    msg = (_WOULD if ctx.check else "") if changed else "Nothing to do"
    return {"changed": changed, "rc": 0, "results": [text for text in results if text], "msg": msg}


def _told_of_group(ctx: Context, name: str, before: str | None, verb: str, done: Transaction) -> str:
    """Return the sentence on a group or module; ``before`` is the stream that was enabled."""
    plain = name.lstrip("@")
    wanted = plain.partition("/")[0].partition(":")[2]
    here = before is not None and wanted in ("", before)
    if verb == "remove":
        return "Module {} removed.".format(plain) if here else ""
    if before is None and not done.modules and _stream(ctx, name) is None:
        return "Group {} {}.".format(plain, "upgraded" if done.upgraded else "installed")
    if done.upgraded:
        return "Module {} upgraded.".format(plain) if here else ""
    return "" if here else "Module {} installed.".format(plain)


def _told(ctx: Context, done: Transaction, before: list[Found]) -> list[str]:
    word = "Downloaded" if ctx.args["download_only"] else "Installed"
    gone = [each.nevra for each in before if "{}.{}".format(each.name, each.arch) in done.replaced]
    told = ["{}: {}".format(word, name) for name in sorted(done.taken)]
    return told + ["Removed: {}".format(name) for name in sorted(done.removed + gone)]


def _new_files(ctx: Context, files: list[str], notes: list[str]) -> list[str]:
    """Return the files that hold something else than what is installed; URLs are downloaded."""
    here = installed(ctx, ctx.args["installroot"]) if files else []
    wanted = []
    for name in files:
        path = _brought(ctx, name)
        notes.append("Installed {}".format(path))
        packages = query(ctx, "-qp", "--nosignature", path)
        # What rpm cannot read is dnf's to refuse.
        if not packages or not _is_covered(ctx, packages[0], here):
            wanted.append(path)
    return wanted


def _brought(ctx: Context, name: str) -> str:
    if "://" in name:
        path = os.path.join(ctx.scratch(), os.path.basename(name) or "package.rpm")
        download(ctx, name, path if path.endswith(".rpm") else path + ".rpm")
        return path if path.endswith(".rpm") else path + ".rpm"
    if not os.path.exists(name):
        text = "Error occurred attempting remote rpm operation: Could not open: {}".format(name)
        ctx.fail(text, results=[], rc=1)
    return name


def _is_covered(ctx: Context, package: Found, here: list[Found]) -> bool:
    """Tell whether what is installed is this version, or a newer one that has to stay."""
    same = [each for each in here if (each.name, each.arch) == (package.name, package.arch)]
    orders = [compare(each, package.evr) for each in same]
    if not same:
        return bool(ctx.args["update_only"])
    return 0 in orders or (1 in orders and not ctx.args["allow_downgrade"])


def _here(ctx: Context, names: list[str], notes: list[str]) -> list[str]:
    """Return what is installed of ``names``."""
    here = installed(ctx, ctx.args["installroot"])
    found = [name for name in names if named(here, name) or _provided(ctx, name)]
    told = "Packages providing {} not installed due to update_only specified"
    notes += [told.format(name) for name in names if name not in found]
    return found


def _is_satisfied(ctx: Context, name: str) -> bool:
    """Tell whether nothing is to be done for a name; where only repositories can tell, the answer is no."""
    # What is excluded is invisible, even where it is installed.
    hidden = split(ctx.args["exclude"])
    here = [each for each in installed(ctx, ctx.args["installroot"]) if not any(named([each], name) for name in hidden)]
    comparison = relation(name)
    if comparison:
        plain, operator, version = comparison
        return any(satisfies(each, operator, version) for each in here if each.name == plain)
    if _GLOB.search(name):
        return False
    if named(here, name):
        return True
    if not hidden and _provided(ctx, name):
        # A package of that very name has precedence over what another one provides.
        return name.startswith("/") or not any(each.name == name for each in offers(ctx, name))
    return _is_newer_here(ctx, name)


def _is_newer_here(ctx: Context, name: str) -> bool:
    """Tell whether ``name`` pins a version older than the installed one, which stays unless a downgrade is allowed."""
    if ctx.args["allow_downgrade"] or relation(name) or _GLOB.search(name):
        return False
    here = installed(ctx, ctx.args["installroot"])
    if not any(name.startswith(each.name + "-") for each in here) or named(here, name):
        return False
    pinned = [each for each in offers(ctx, name) if name != each.name]
    versions = {each.name: each.evr for each in pinned}
    return any(compare(each, versions[each.name]) > 0 for each in here if each.name in versions)


def _provided(ctx: Context, name: str) -> bool:
    return bool(query(ctx, "-q", "--whatprovides", name, root=ctx.args["installroot"]))


def _module(name: str) -> str:
    return re.split("[:/]", name.lstrip("@"))[0]


def _stream(ctx: Context, name: str) -> str | None:
    """Return the stream that is enabled of a module; None where the name is not one that dnf has touched."""
    path = os.path.join(ctx.args["installroot"], "etc/dnf/modules.d", _module(name) + ".module")
    text = read(path)
    match = re.search(r"^stream=(.*)$", text, re.MULTILINE)
    return match.group(1) if match else None
