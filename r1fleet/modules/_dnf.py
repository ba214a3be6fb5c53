"""Run dnf: its options, the wait for other users of it, and what it says."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple, NoReturn

from r1fleet.agent.context import Context
from r1fleet.agent.process import Done
from r1fleet.modules._proc import read
from r1fleet.modules._rpmdb import installed, named

_LOCKS = (
    "/var/cache/dnf/metadata_lock.pid",
    "/var/cache/dnf/download_lock.pid",
    "/var/lib/dnf/rpmdb_lock.pid",
    "/var/log/log_lock.pid",
)
_LOCKED = 200
_POLL_SECONDS = 1.0
_FLAGS = (
    ("allowerasing", "--allowerasing"),
    ("best", "--best"),
    ("bugfix", "--bugfix"),
    ("cacheonly", "--cacheonly"),
    ("disable_gpg_check", "--nogpgcheck"),
    ("download_only", "--downloadonly"),
    ("nobest", "--nobest"),
    ("security", "--security"),
    ("skip_broken", "--skip-broken"),
)
_VALUES = (
    ("conf_file", "--config"),
    ("disable_excludes", "--disableexcludes"),
    ("download_dir", "--downloaddir"),
    ("releasever", "--releasever"),
)
_LISTS = (
    ("disable_plugin", "--disableplugin"),
    ("disablerepo", "--disablerepo"),
    ("enable_plugin", "--enableplugin"),
    ("enablerepo", "--enablerepo"),
    ("exclude", "--exclude"),
)
_RULE = re.compile(r"^=+$")
_HEADING = re.compile(r"^(\S.*):$")
_PACKAGES = re.compile(
    r"^(Installing|Upgrading|Downgrading|Reinstalling|Removing)"
    r"(?: (?:weak |unused )?dependencies| dependent packages| group/module packages)?$"
)
_EXCLUDED = re.compile(
    r"^(All matches were filtered out by (?:exclude|modular) filtering for argument: (.+))$", re.MULTILINE
)
_NO_MATCH = re.compile(
    r"^(?:No match for argument|All matches were filtered out by \w+ filtering for argument): (.+)$"
    r"|^Module or Group '(.+)' is not available\.$",
    re.MULTILINE,
)
_UNSIGNED = re.compile(
    r"^(?:Error: )?((?:Package|Public key for) (\S+?)(?:\.rpm)? is not (?:signed|installed).*)$", re.M
)


class Transaction(NamedTuple):
    """What dnf did, or would do."""

    taken: list[str]
    removed: list[str]
    replaced: list[str]
    modules: bool
    upgraded: bool = False

    @property
    def changes(self) -> bool:
        """Tell whether anything is different afterwards."""
        return bool(self.taken or self.removed or self.modules)


def split(entries: list[str]) -> list[str]:
    """Take lists whose entries may be lists themselves, with commas."""
    return [single.strip() for entry in entries for single in entry.split(",") if single.strip()]


def refresh(ctx: Context) -> None:
    """Fetch the repositories' lists anew."""
    done = dnf(ctx, "makecache", "--refresh")
    if done.rc:
        ctx.fail(_last_words(done), rc=1, results=[])


def transact(ctx: Context, verb: str, *words: str) -> Transaction:
    """Let dnf do it, or only tell of it in check mode; fail as Ansible does."""
    done = dnf(ctx, *verb.split(), "--assumeno" if ctx.check else "-y", "--", *words)
    aborted = ctx.check and "Operation aborted" in done.text + done.error
    if verb == "upgrade" and "' is not installed." in done.text + done.error:
        return transact(ctx, "install", *words)
    if "There are no enabled repositories" in done.error:
        return _without_repositories(ctx, words)
    if done.rc and not aborted:
        _explain(ctx, done)
    return read_transaction(done.text)._replace(upgraded=verb == "upgrade")


def _without_repositories(ctx: Context, words: tuple[str, ...]) -> Transaction:
    """dnf's command line gives up where its library only finds nothing."""
    here = installed(ctx, ctx.args["installroot"])
    failures = [_failure(name, {}) for name in words if not named(here, name)]
    if failures:
        ctx.fail("Failed to install some of the specified packages", failures=failures, results=[], rc=1)
    return Transaction([], [], [], modules=False)


def dnf(ctx: Context, *words: str) -> Done:
    """Run dnf with the options that the task's arguments ask for; wait for its lock."""
    program = ctx.which("dnf") or ctx.which("dnf5") or ctx.need("yum")
    argv = [program, "--setopt=exit_on_lock=True", *_options(ctx.args), *words]
    deadline = time.monotonic() + max(ctx.args.get("lock_timeout") or 0, 0)
    told = ""
    while True:
        done = ctx.run(argv, locale="C.UTF-8")
        if done.rc != _LOCKED:
            return done
        holder = _holder()
        if time.monotonic() >= deadline:
            ctx.fail("dnf lockfile is held by {}".format(holder), holder=holder, results=[], rc=1)
        if holder != told:
            ctx.progress("waiting for dnf: its lock is held by {}".format(holder))
            told = holder
        time.sleep(_POLL_SECONDS)


def _options(args: dict[str, Any]) -> list[str]:
    options = [flag for name, flag in _FLAGS if args.get(name)]
    options += ["{}={}".format(flag, args[name]) for name, flag in _VALUES if args.get(name)]
    options += ["{}={}".format(flag, entry) for name, flag in _LISTS for entry in split(args.get(name) or [])]
    options.append("--setopt=install_weak_deps={}".format(args.get("install_weak_deps", True)))
    # dnf itself removes what nobody needs any more; the module does so on request only.
    options.append("--setopt=clean_requirements_on_remove={}".format(bool(args.get("autoremove"))))
    checked = not args.get("disable_gpg_check")
    options += ["--setopt={}={}".format(name, checked) for name in ("gpgcheck", "localpkg_gpgcheck")]
    if not args.get("sslverify", True):
        options.append("--setopt=sslverify=False")
    # A task that names another stream means it.
    options.append("--setopt=module_stream_switch=True")
    root = args.get("installroot") or "/"
    if root != "/":
        # The repositories are the host's own, as for the module of that name.
        options += ["--installroot=" + root, "--setopt=reposdir=/etc/yum.repos.d"]
        options += [] if args.get("conf_file") else ["--config=/etc/dnf/dnf.conf"]
    return options


def read_transaction(text: str) -> Transaction:
    """Read the table that dnf shows before it acts."""
    found = Transaction([], [], [], modules=False)
    kind = ""
    for row in _rows(text):
        heading = _HEADING.match(row[0]) if len(row) == 1 else None
        if heading:
            kind = heading.group(1)
            if "module" in kind and "group/module" not in kind:
                found = found._replace(modules=True)
        elif row[0] == "replacing":
            found.removed.append(_full(row[1].rpartition(".")[0], row[1].rpartition(".")[2], row[2]))
        elif len(row) >= 4 and _PACKAGES.match(kind):
            name = _full(row[0], row[1], row[2])
            (found.removed if kind.startswith("Removing") else found.taken).append(name)
            if kind in ("Upgrading", "Downgrading"):
                found.replaced.append("{}.{}".format(row[0], row[1]))
    return found


def _rows(text: str) -> list[list[str]]:
    """Return the table's rows as words; what dnf has wrapped is one row again."""
    rows: list[list[str]] = []
    rules = 0
    for line in text.splitlines():
        if _RULE.match(line):
            rules += 1
        elif rules < 2 or not line.strip():
            continue
        elif line.startswith("Transaction Summary"):
            return rows
        elif _HEADING.match(line):
            rows.append([line])
        elif line.startswith("  ") and line.split()[0] != "replacing" and rows:
            rows[-1] += line.split()
        else:
            rows.append(line.split())
    return rows


def _full(name: str, arch: str, version: str) -> str:
    return "{}-{}.{}".format(name, version, arch)


def _explain(ctx: Context, done: Done) -> NoReturn:
    text = "{}\n{}".format(done.text, done.error)
    unsigned = _UNSIGNED.search(text)
    if unsigned:
        package = unsigned.group(2)
        ctx.fail("Failed to validate GPG signature for {}: {}".format(package, unsigned.group(1)), results=[], rc=1)
    missing = ["".join(found) for found in _NO_MATCH.findall(text)]
    excluded = dict(reversed(line) for line in _EXCLUDED.findall(text))
    groups = [name for name in missing if "Module or Group '{}'".format(name) in text]
    if groups:
        ctx.fail("No group {} available.".format(groups[0]), results=[])
    if missing:
        failures = [_failure(name, excluded) for name in missing]
        ctx.fail("Failed to install some of the specified packages", failures=failures, results=[], rc=1)
    words = _last_words(done)
    kind = "Depsolve Error occurred" if "Problem" in words else "Unknown Error occurred"
    ctx.fail("{}: {}".format(kind, words), failures=[], results=[], rc=1)


def _failure(name: str, excluded: dict[str, str]) -> str:
    return "{} {}".format(name, excluded[name]) if name in excluded else "No package {} available.".format(name)


def _last_words(done: Done) -> str:
    """Return the error, without advice about the command line."""
    text = done.error.strip() or done.text.strip()
    said = text[text.rfind("\nError:") + 1 :] if "\nError:" in text else text
    lines = [line for line in said.splitlines() if not line.startswith("(try to ")]
    return re.sub(r"^Error: *", "", "\n".join(lines)).rstrip()


def _holder() -> str:
    for path in _LOCKS:
        pid = read(path).strip()
        command = read("/proc/{}/cmdline".format(pid)).replace("\0", " ").strip() if pid.isdigit() else ""
        if command:
            return "process {} ({}), says {}".format(pid, command, path)
    return "another process"
