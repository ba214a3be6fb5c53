"""raw, script, fetch and unarchive: what needs more of a session than one call."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from functools import partial
from pathlib import Path

from r1fleet.errors import Where
from r1fleet.inventory import vault
from r1fleet.playbook.actions.content import of_path, source_path
from r1fleet.playbook.digests import with_digests
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.pairs import parse_words
from r1fleet.playbook.work import Work
from r1fleet.transport import Become, Reply

_SCRIPT = (
    "d=$(mktemp -d) || exit 1; trap 'rm -rf \"$d\"' EXIT; "
    'cat > "$d/script" && chmod 0700 "$d/script" && {command} < /dev/null'
)


async def raw(work: Work) -> Reply:
    """Run a command without the agent, so that it works on a host without Python."""
    if work.manner.check:
        return {"changed": False, "skipped": True, "msg": "raw does not support check mode"}
    command = str(work.args["_command"])
    if work.args.get("executable"):
        command = f"{work.args['executable']} -c {shlex.quote(command)}"
    stdin = b""
    if work.manner.become is not None:
        command, stdin = _as_other(work.manner.become, command)
    exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in work.manner.environment.items())
    session = await work.session()
    done = await asyncio.to_thread(session.execute, exports + command, stdin=stdin, timeout=work.manner.timeout)
    stdout, stderr = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    reply = {
        "changed": True,
        "rc": done.rc,
        "stdout": stdout,
        "stderr": stderr,
        "stdout_lines": stdout.splitlines(),
        "stderr_lines": stderr.splitlines(),
    }
    return {**reply, "failed": True, "msg": "non-zero return code"} if done.rc else reply


async def script(work: Work) -> Reply:
    """Run one of the controller's scripts on the host; nothing of it stays there."""
    words = parse_words(str(work.args["cmd"]))
    path = source_path(work, words[0], "files")
    left_out = await _left_out(work)
    if left_out is not None:
        return left_out
    if work.manner.check:
        if work.args.get("creates") or work.args.get("removes"):
            return {"changed": True}
        return {"changed": False, "skipped": True, "msg": "Check mode is not supported for this task."}
    content = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="surrogateescape")
    content = vault.plain_text(content, Where(str(path), 1))
    interpreter = [str(work.args["executable"])] if work.args.get("executable") else []
    command = shlex.join(interpreter) + ' "$d/script" ' + shlex.join(words[1:])
    args = {"cmd": _SCRIPT.format(command=command.strip()), "stdin": content, "stdin_add_newline": False}
    if work.args.get("chdir"):
        args["chdir"] = work.args["chdir"]
    reply = await work.submit(work.call("shell", args))
    reply.pop("cmd", None)
    return reply


async def _left_out(work: Work) -> Reply | None:
    """Return the reply where ``creates`` or ``removes`` says that a script need not run."""
    for name, stays, why in (("creates", True, "exists"), ("removes", False, "does not exist")):
        if not work.args.get(name):
            continue
        path = str(work.args[name])
        seen = await work.submit(work.call("stat", {"path": path, "follow": True, "get_checksum": False}))
        if bool(seen.get("stat", {}).get("exists")) is stays:
            return {"changed": False, "skipped": True, "msg": f"{path} {why}, matching {name} option"}
    return None


async def fetch(work: Work) -> Reply:
    """Bring a file from the host to the controller."""
    source, dest = str(work.args["src"]), str(work.args["dest"])
    if work.manner.check:
        return {"changed": False, "skipped": True, "msg": "check mode not (yet) supported for this module"}
    target = _fetch_target(work, source, dest)
    if target.is_dir():
        msg = "dest is an existing directory, use a trailing slash if you want to fetch src into that directory"
        return {"changed": False, "failed": True, "msg": msg}
    before = await asyncio.to_thread(_digests, target)
    session = await work.session()
    reply = await asyncio.to_thread(session.fetch, source, target, become=work.manner.become)
    if reply.get("failed"):
        return _not_fetched(work, source, reply)
    after = await asyncio.to_thread(_digests, target)
    told = {"dest": str(target), "md5sum": after["md5"], "checksum": after["sha1"]}
    if before == after:
        return {"changed": False, "file": source, **told}
    return {"changed": True, "remote_md5sum": None, "remote_checksum": after["sha1"], **told}


def _not_fetched(work: Work, source: str, reply: Reply) -> Reply:
    """Return the reply of a file that did not come; what is not there may be no failure."""
    msg = str(reply.get("msg")).removesuffix(", ignored")
    if to_bool(work.args.get("fail_on_missing", True)) is False:
        return {"changed": False, "failed": False, "msg": f"{msg}, ignored", "file": source}
    return {"changed": False, "failed": True, "msg": msg, "file": source}


async def unarchive(work: Work) -> Reply:
    """Unpack an archive; one of the controller's travels first."""
    args = dict(work.args)
    if "copy" in args and "remote_src" in args:
        return {"changed": False, "failed": True, "msg": "parameters are mutually exclusive: copy|remote_src"}
    on_host = to_bool(args.get("remote_src", False)) or to_bool(args.get("copy", True)) is False
    if on_host:
        return await work.submit(work.call("unarchive", args))
    path = source_path(work, str(args.get("src", "")), "files")
    decrypt = to_bool(args.get("decrypt", True)) is not False
    entries, blobs = await with_digests(lambda: of_path(path, whole=False, follow=True, decrypt=decrypt))
    return await work.submit(work.call("unarchive", {**args, "_entries": entries, "_name": path.name}, blobs))


def _as_other(become: Become, command: str) -> tuple[str, bytes]:
    """Wrap a command for another identity; a password goes through standard input."""
    ask = "-S -p ''" if become.password is not None else "-n"
    wrapped = f"sudo -H {ask} -u {shlex.quote(become.user)} -- /bin/sh -c {shlex.quote(command)}"
    return wrapped, f"{become.password}\n".encode() if become.password is not None else b""


def _fetch_target(work: Work, source: str, dest: str) -> Path:
    folder = Path(dest).expanduser()
    if not folder.is_absolute():
        folder = Path(str(work.scope["playbook_dir"])) / folder
    if to_bool(work.args.get("flat", False)):
        return folder / Path(source).name if dest.endswith("/") else folder
    return folder / work.state.name / source.lstrip("/")


def _digests(path: Path) -> dict[str, str]:
    """Return a file's digests as Ansible tells them; none where it is not there."""
    if not path.is_file():
        return {}
    found = {}
    for name in ("md5", "sha1"):
        with path.open("rb") as stream:
            found[name] = hashlib.file_digest(stream, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
    return found
