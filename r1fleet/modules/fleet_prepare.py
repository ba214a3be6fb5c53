"""Make of a model's download what an engine reads, beside its place, and seal it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any

from r1fleet.agent import soundness
from r1fleet.agent.context import Context
from r1fleet.agent.files import write_bytes
from r1fleet.modules import _folders

ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "staging": {"type": "path", "required": True},
    "seal": {"type": "dict", "required": True},
    "steps": {"type": "list", "elements": "dict", "required": True},
    "needs": {"type": "int", "default": 0},
}
LOCAL = True
CHECK_MODE = False

_CHUNK = 1024 * 1024
_SPARE = 64 * 1024 * 1024
_LAST = 12


def run(ctx: Context) -> dict[str, Any]:
    """Run the steps, each with the staging folder in the place of the final one, and write the manifest."""
    folder, staging = ctx.args["folder"], ctx.args["staging"]
    try:
        shutil.rmtree(staging, ignore_errors=True)
        _refuse_lack_of_space(ctx, folder)
        os.makedirs(staging, mode=0o755)
        for number, step in enumerate(ctx.args["steps"], 1):
            ctx.progress(json.dumps({"step": number, "of": len(ctx.args["steps"]), "why": step["why"]}))
            _step(ctx, step, folder, staging)
        for step in ctx.args["steps"]:
            _write(step["files"], folder, staging, "")
        manifest = dict(ctx.args["seal"], files=_sealed(staging))
        unfit = list(soundness.problems(staging)) if manifest["files"] else ["the steps have made no file"]
        if unfit:
            ctx.fail("what was made is not fit to be loaded: %s" % "; ".join(unfit))
        text = json.dumps(manifest, indent=1) + "\n"
        write_bytes(os.path.join(staging, _folders.MANIFEST), text.encode(), mode=0o644)
    except OSError as error:
        ctx.fail("%s: %s" % (error.filename or staging, error.strerror))
    return {"changed": True, "manifest": text}


def _refuse_lack_of_space(ctx: Context, folder: str) -> None:
    free = _folders.room(folder)["free"]
    if ctx.args["needs"] + _SPARE > free:
        words = (folder, ctx.args["needs"] + _SPARE, free)
        ctx.fail("%s needs %d bytes, and %d are free: a second copy is made beside the download" % words)


def _step(ctx: Context, step: dict[str, Any], folder: str, staging: str) -> None:
    _write(step["files"], folder, staging, staging)
    argv = [_moved(word, folder, staging) for word in step["argv"]]
    env = {name: _moved(value, folder, staging) for name, value in step["env"].items()}
    done = ctx.run(argv, stdin=step["stdin"], env=env)
    if done.rc != 0:
        last = "\n".join((done.error or done.text).strip().splitlines()[-_LAST:])
        ctx.fail("%s: %s ended with %d:\n%s" % (step["why"], os.path.basename(argv[0]), done.rc, last))


def _write(files: dict[str, str], folder: str, staging: str, said: str) -> None:
    """Write a step's files; once all is done, they say the final folder again."""
    for path, content in files.items():
        place = _moved(path, folder, staging)
        os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
        write_bytes(place, (_moved(content, folder, said) if said else content).encode(), mode=0o644)


def _moved(text: str, folder: str, staging: str) -> str:
    """Put the staging folder where the final one stands, itself or what lies in it, but no longer name."""
    parts = text.split(folder)
    made = parts[0]
    for part in parts[1:]:
        longer = part[:1].isalnum() or part[:1] in ("-", "_", "@", ".")
        made += (folder if longer else staging) + part
    return made


def _sealed(staging: str) -> list[dict[str, Any]]:
    rows = []
    for place, _, names in os.walk(staging):
        for name in names:
            path = os.path.join(place, name)
            inside = os.path.relpath(path, staging)
            if os.path.islink(path) or inside == _folders.MANIFEST:
                continue
            rows.append({"path": inside, "size": os.path.getsize(path), "sha256": _sha256(path)})
    return sorted(rows, key=lambda row: str(row["path"]))


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
