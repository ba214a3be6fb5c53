"""git's program, asked about one working copy and the repository that it comes from."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.process import Done

_SHA = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")


class Git:
    """One working copy (or bare repository) at ``dest``, and where it is cloned from."""

    def __init__(self, ctx: Context) -> None:
        args = ctx.args
        self._ctx = ctx
        self._program = ctx.need(args["executable"] or "git")
        self._environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": ssh_command(args, ctx.environment)}
        self._umask = _umask(ctx)
        self.repo = _with_protocol(args["repo"])
        self.dest = os.path.abspath(args["dest"]) if args["dest"] else ""
        self.remote: str = args["remote"]
        self.version: str = args["version"]
        self.depth: int | None = args["depth"]
        for name in ("repo", "remote", "version", "refspec"):
            if str(args[name] or "").startswith("-"):
                ctx.fail("{} must not begin with a dash: {}".format(name, args[name]))

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, *words: str, cwd: str | None = None) -> Done:
        """Run git and return its end."""
        where = self.dest if cwd is None else cwd
        return self._ctx.run(
            [self._program, *words], cwd=where or None, env=self._environment, locale="C", umask=self._umask
        )

    def must(self, *words: str, cwd: str | None = None, what: str = "") -> str:
        """Run git and return what it says; fail where it fails."""
        done = self.ask(*words, cwd=cwd)
        if done.rc:
            said = done.error.strip() or done.text.strip()
            more = {"rc": done.rc, "stdout": done.text, "stderr": done.error, "cmd": [self._program, *words]}
            self._ctx.fail("{}: {}".format(what, said) if what else said, **more)
        return done.text

    def head(self) -> str:
        """Return the commit that is checked out."""
        return self.must("rev-parse", "HEAD").strip()

    def is_modified(self) -> bool:
        """Tell whether files that git knows have been changed here."""
        return any(line and not line.startswith("??") for line in self.must("status", "--porcelain").splitlines())

    def branch(self) -> str:
        """Return the branch that HEAD is on; where it is on none, the remote's."""
        here = self.ask("symbolic-ref", "--short", "-q", "HEAD")
        if here.rc == 0:
            return here.text.strip()
        there = self.ask("symbolic-ref", "--short", "-q", "refs/remotes/{}/HEAD".format(self.remote))
        return there.text.strip().partition("/")[2] if there.rc == 0 else "master"

    def has_branch(self, name: str) -> bool:
        """Tell whether a branch is here."""
        return self.ask("show-ref", "--verify", "--quiet", "refs/heads/" + name).rc == 0

    def offers(self, kind: str, name: str, *, origin: str = "") -> bool:
        """Tell whether the remote has a branch (``heads``) or a tag (``tags``) of that name."""
        return bool(self._listed(kind, "refs/{}/{}".format(kind, name), origin))

    def url(self) -> str:
        """Return where the remote is, as the working copy knows it."""
        done = self.ask("ls-remote", "--get-url", self.remote)
        return done.text.strip() if done.rc == 0 else ""

    def wanted(self, *, cloning: bool) -> str:
        """Return the commit that the remote has under ``version``, without fetching anything."""
        origin, version = (self.repo if cloning else ""), self.version
        if version == "HEAD":
            pattern = "HEAD" if cloning else "refs/heads/" + self.branch()
            lines = self._listed("", pattern, origin)
        elif self.offers("heads", version, origin=origin):
            lines = self._listed("heads", "refs/heads/" + version, origin)
        elif self.offers("tags", version, origin=origin):
            lines = self._listed("tags", "refs/tags/" + version + "*", origin)
            peeled = [line for line in lines if line.endswith("refs/tags/" + version + "^{}")]
            lines = peeled or [line for line in lines if line.endswith("refs/tags/" + version)]
        else:
            return version
        if not lines:
            self._ctx.fail("Could not determine remote revision for {}".format(version))
        return lines[0].split()[0]

    def _listed(self, kind: str, pattern: str, origin: str) -> list[str]:
        flags = ["--" + kind] if kind else []
        # Where there is no working copy yet, any folder will do.
        cwd = "/" if origin else None
        return self.must("ls-remote", *flags, origin or self.remote, pattern, cwd=cwd).splitlines()

    # --- acting ------------------------------------------------------------------------------------

    def clone(self) -> None:
        """Clone, shallow where that is possible and wanted."""
        args = self._ctx.args
        parent = os.path.dirname(self.dest)
        os.makedirs(parent, exist_ok=True)
        words = ["--bare"] if args["bare"] else ["--origin", self.remote]
        named = self.version != "HEAD" and any(
            self.offers(kind, self.version, origin=self.repo) for kind in ("heads", "tags")
        )
        if self.depth and not (named or self.version == "HEAD" or args["refspec"]):
            self._ctx.warn(
                "Ignoring depth argument. Shallow clones are only available for HEAD, branches, tags or in "
                "combination with refspec."
            )
        elif self.depth:
            words += ["--depth", str(self.depth)]
        words += ["--reference", args["reference"]] if args["reference"] else []
        words += ["--single-branch"] if args["single_branch"] else []
        if named and (args["single_branch"] or (self.depth and not args["refspec"])):
            words += ["--branch", self.version]
        words += ["--separate-git-dir=" + args["separate_git_dir"]] if args["separate_git_dir"] else []
        self.must("clone", *words, "--", self.repo, self.dest, cwd=parent)
        if args["bare"] and self.remote != "origin":
            self.must("remote", "add", self.remote, self.repo)
        if args["refspec"]:
            self.must("fetch", *self._shallow(), self.remote, args["refspec"])

    def point(self) -> None:
        """Make the remote what ``repo`` says."""
        self.must("remote", "set-url", self.remote, self.repo, what="Failed to set a new url")

    def fetch(self, version: str = "") -> None:
        """Fetch what is needed for ``version``."""
        args = self._ctx.args
        specs = self._specs(version or self.version) if self.depth else []
        flags = self._shallow() if specs else []
        if not specs:
            heads = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            specs, flags = (heads, []) if args["bare"] else ([], ["--tags"])
            specs += [args["refspec"]] if args["refspec"] else []
        flags += ["--force"] if args["force"] else []
        self.must("fetch", *flags, self.remote, *specs, what="Failed to download remote objects and refs")

    def _specs(self, version: str) -> list[str]:
        """Return the least that a shallow fetch must bring; nothing where only all of it would do."""
        here = self.branch()
        if self._ctx.args["refspec"]:
            return [self._ctx.args["refspec"]]
        if version == "HEAD":
            return [here]
        if self.offers("heads", version):
            own = [] if here == version else ["+refs/heads/{0}:refs/heads/{0}".format(version)]
            return [*own, "+refs/heads/{0}:refs/remotes/{1}/{0}".format(version, self.remote)]
        return ["+refs/tags/{0}:refs/tags/{0}".format(version)] if self.offers("tags", version) else []

    def _shallow(self) -> list[str]:
        return ["--depth", str(self.depth)] if self.depth else []

    def switch(self) -> None:
        """Check ``version`` out; what was changed here is gone then."""
        version = self.branch() if self.version == "HEAD" else self.version
        tracked = self.version == "HEAD" or self.offers("heads", version)
        if tracked and self.version != "HEAD" and self.depth and not self.has_branch(version):
            self.must("remote", "set-branches", "--add", self.remote, version)
            spec = "+refs/heads/{0}:refs/remotes/{1}/{0}".format(version, self.remote)
            self.must("fetch", *self._shallow(), self.remote, spec, what="Failed to fetch branch from remote")
        what = "Failed to checkout {}{}".format("branch " if tracked else "", version)
        origin = "{}/{}".format(self.remote, version)
        if not tracked:
            self.must("checkout", "--force", version, "--", what=what)
        elif self.version != "HEAD" and not self.has_branch(version):
            self.must("checkout", "--track", "-b", version, origin, what=what)
        else:
            self.must("checkout", "--force", version, "--", what=what)
            self.must("reset", "--hard", origin, "--", what=what)

    def reset(self) -> None:
        """Undo all changes of files that git knows."""
        self.must("reset", "--hard", "HEAD", "--")


def ssh_command(args: dict[str, Any], environment: Any) -> str:
    """Return the command by which git reaches hosts; it never asks, and takes no key for another."""
    command: str = environment.get("GIT_SSH_COMMAND") or os.environ.get("GIT_SSH_COMMAND") or "ssh"
    options = [args["ssh_opts"]] if args["ssh_opts"] else []
    if "BatchMode" not in (args["ssh_opts"] or ""):
        options.append("-o BatchMode=yes")
    if args["accept_hostkey"] or args["accept_newhostkey"]:
        options.append("-o StrictHostKeyChecking=accept-new")
    if args["key_file"]:
        options.append("-i {} -o IdentitiesOnly=yes".format(shlex.quote(args["key_file"])))
    return " ".join([command, *options])


def same_place(one: str, other: str) -> bool:
    """Tell whether two URLs lead to the same repository on this host."""

    def plain(url: str) -> str:
        path = url[len("file://") :] if url.startswith("file://") else url
        return os.path.realpath(os.path.expanduser(path)) if path.startswith(("/", "~")) else url

    return plain(one) == plain(other)


def _with_protocol(repo: str) -> str:
    """Return a path as a URL: only then git can clone a part of its history."""
    path = os.path.expanduser(repo)
    return "file://" + path if path.startswith("/") else repo


def _umask(ctx: Context) -> int:
    value = ctx.args["umask"]
    if value is None:
        return -1
    try:
        return value if isinstance(value, int) else int(str(value), 8)
    except ValueError:
        ctx.fail("umask must be an octal integer", details=str(value))
