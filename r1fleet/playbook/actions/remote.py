"""raw, script, fetch and unarchive: what needs more of a session than one call."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

from r1fleet.errors import Where
from r1fleet.inventory import vault
from r1fleet.playbook.actions.content import of_path, source_path
from r1fleet.playbook.digests import sha256_of, with_digests
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
    content = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="surrogateescape")
    content = vault.plain_text(content, Where(str(path), 1))
    interpreter = [str(work.args["executable"])] if work.args.get("executable") else []
    command = shlex.join(interpreter) + ' "$d/script" ' + shlex.join(words[1:])
    args = {name: work.args[name] for name in ("chdir", "creates", "removes") if work.args.get(name)}
    call = work.call(
        "shell", {**args, "cmd": _SCRIPT.format(command=command.strip()), "stdin": content, "stdin_add_newline": False}
    )
    reply = await work.submit(call)
    reply.pop("cmd", None)
    return reply


async def fetch(work: Work) -> Reply:
    """Bring a file from the host to the controller."""
    source, dest = str(work.args["src"]), str(work.args["dest"])
    target = _fetch_target(work, source, dest)
    before = await asyncio.to_thread(_digest, target)
    session = await work.session()
    if work.manner.check:
        return {"changed": False, "skipped": True, "msg": "fetch does not run in check mode"}
    reply = await asyncio.to_thread(session.fetch, source, target, become=work.manner.become)
    if reply.get("failed") and to_bool(work.args.get("fail_on_missing", True)) is False:
        return {"changed": False, "failed": False, "msg": f"{reply.get('msg')}, ignored", "file": source}
    if reply.get("failed"):
        return {"changed": False, "file": source, **reply}
    return {
        "changed": before != reply.get("sha256"),
        "dest": str(target),
        "checksum": reply.get("sha256"),
        "remote_checksum": reply.get("sha256"),
        "size": reply.get("size"),
    }


async def unarchive(work: Work) -> Reply:
    """Unpack an archive; one of the controller's travels first."""
    args = dict(work.args)
    source = str(args.get("src", ""))
    if to_bool(args.get("remote_src")) or "://" in source:
        return await work.submit(work.call("unarchive", args))
    path = source_path(work, source, "files")
    entries, blobs = await with_digests(lambda: of_path(path, whole=False, follow=True))
    return await work.submit(work.call("unarchive", {**args, "_entries": entries, "_name": Path(source).name}, blobs))


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


def _digest(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None
