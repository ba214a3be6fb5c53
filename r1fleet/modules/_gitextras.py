"""What the git module can do beside a checkout: submodules, signatures, archives, differences."""

from __future__ import annotations

import filecmp
import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import install
from r1fleet.modules._git import Git

_FORMATS = {".zip": "zip", ".gz": "tar.gz", ".tar": "tar", ".tgz": "tgz"}


def submodules(ctx: Context, git: Git) -> bool:
    """Bring submodules to what the working copy wants, or to their remotes' state; tell whether that changed any."""
    if not os.path.exists(os.path.join(git.dest, ".gitmodules")):
        return False
    if not _outdated(ctx, git):
        return False
    words = ["--init", "--recursive"]
    words += ["--remote"] if ctx.args["track_submodules"] else []
    words += ["--force"] if ctx.args["force"] else []
    git.must("submodule", "sync")
    git.must("submodule", "update", *words, what="Failed to init/update submodules")
    return True


def _outdated(ctx: Context, git: Git) -> bool:
    listed = git.must("config", "--file", ".gitmodules", "--get-regexp", r"\.path$")
    paths = [line.partition(" ")[2] for line in listed.splitlines()]
    if any(not os.path.exists(os.path.join(git.dest, path, ".git")) for path in paths):
        return True
    git.must("submodule", "foreach", "git", "fetch", what="Failed to fetch submodules")
    if ctx.args["track_submodules"]:
        return any(_behind(git, os.path.join(git.dest, path)) for path in paths)
    status = git.must("submodule", "status", what="Failed to retrieve submodule status")
    return any(not line.startswith(" ") for line in status.splitlines())


def _behind(git: Git, path: str) -> bool:
    """Tell whether a submodule is not where its remote's branch is."""
    here = git.must("rev-parse", "HEAD", cwd=path)
    there = git.ask("rev-parse", "--verify", "-q", "{}/HEAD".format(git.remote), cwd=path)
    if there.rc:
        there = git.ask("rev-parse", "--verify", "-q", "{}/master".format(git.remote), cwd=path)
    return there.rc == 0 and there.text != here


def verify(ctx: Context, git: Git) -> None:
    """Fail unless the tag or the commit is signed by a key that is trusted, and named where names are given."""
    tag = git.ask("cat-file", "-t", "refs/tags/" + git.version)
    kind = "tag" if tag.rc == 0 and tag.text.strip() == "tag" else "commit"
    what = git.version if kind == "tag" or ctx.args["bare"] else "HEAD"
    done = git.ask("verify-" + kind, "--raw", what)
    if done.rc:
        why = done.error.strip() or "it bears none"
        text = 'Failed to verify GPG signature of commit/tag "{}": {}'.format(git.version, why)
        ctx.fail(text, rc=done.rc, stdout=done.text, stderr=done.error)
    allowed = ctx.args["gpg_allowlist"]
    found = signers(done.error)
    if allowed and not any(key in allowed for key in found):
        text = 'The gpg_allowlist does not include the public key "{}" for this commit'
        ctx.fail(text.format(found[0] if found else ""))


def signers(text: str) -> list[str]:
    """Return the fingerprints of a good signature: the key's own and its primary's."""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["[GNUPG:]", "VALIDSIG"]:
            return list(dict.fromkeys([words[2], words[-1]]))
    return []


def archive(ctx: Context, git: Git, reply: dict[str, Any]) -> None:
    """Write the version as an archive where that is wanted and not there yet."""
    path = ctx.args["archive"]
    if not path:
        return
    kind = _FORMATS.get(os.path.splitext(path)[1])
    if kind is None:
        known = "Please specify archive as filename with extension: {}".format(", ".join(_FORMATS))
        ctx.fail("Unable to get file extension from archive file name : {}".format(path), details=known)
    if ctx.check:
        reply["changed"] = True
        return
    draft = os.path.join(ctx.scratch(), "archive")
    prefix = ["--prefix", ctx.args["archive_prefix"]] if ctx.args["archive_prefix"] else []
    words = ["--format", kind, "--output", draft, *prefix, git.version]
    git.must("archive", *words, what="Failed to perform archive operation")
    same = os.path.exists(path) and filecmp.cmp(draft, path, shallow=False)
    reply["changed"] = not same
    if not same:
        install(draft, path)


def difference(git: Git, before: str | None, after: str) -> dict[str, str]:
    """Return what has changed between two commits, as text."""
    if before is None:
        return {"prepared": ">> Newly checked out {}".format(after)}
    if git.ask("cat-file", "-e", after + "^{commit}").rc:
        git.fetch(after)
    done = git.ask("diff", before, after)
    if done.rc:
        text = ">> Failed to get proper diff between {} and {}:\n>> {}"
        return {"prepared": text.format(before, after, done.error.strip())}
    return {"prepared": done.text or ">> No visual differences between {} and {}".format(before, after)}
