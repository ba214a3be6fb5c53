"""The lookup ``password``: read from a file of the controller, made where there is none."""

from __future__ import annotations

import random
import re
import secrets
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2.runtime import Context

from r1fleet.playbook.filters_crypt import password_hash
from r1fleet.playbook.pairs import named_words

_OPTIONS = re.compile(r"\s(?=(?:length|encrypt|chars|ident|seed)=)")
_NOT_KEPT = "/dev/null"
_SALT = " salt="


def password(context: Context, *terms: str, **options: Any) -> list[Any]:
    """Return the password of each file, hashed where ``encrypt`` says how."""
    return [_one(context, term, options) for term in terms]


def _one(context: Context, term: str, options: Mapping[str, Any]) -> str:
    name, *words = _OPTIONS.split(term, maxsplit=1)
    wanted = {**options, **named_words(" ".join(words))}
    path = Path(str(context.get("playbook_dir") or ".")) / Path(name.strip()).expanduser()
    line = _kept(path)
    word, _, salt = line.partition(_SALT)
    if not word:
        word = _made(wanted)
    if wanted.get("encrypt") and not salt:
        salt = "".join(_chooser(wanted).choice(string.ascii_letters + string.digits) for _ in range(16))
    said = f"{word}{_SALT}{salt}" if salt else word
    if said != line and str(path) != _NOT_KEPT:
        _keep(path, said)
    return password_hash(word, str(wanted["encrypt"]), salt) if wanted.get("encrypt") else word


def _made(options: Mapping[str, Any]) -> str:
    chosen = options.get("chars") or ["ascii_letters", "digits", ".,:-_"]
    kinds = str(chosen).replace(",,", ",\0").split(",") if isinstance(chosen, str) else chosen
    letters = "".join(getattr(string, kind, "," if kind == "\0" else kind) for kind in kinds)
    source = _chooser(options)
    return "".join(source.choice(letters) for _ in range(int(options.get("length") or 20)))


def _chooser(options: Mapping[str, Any]) -> random.Random:
    seed = options.get("seed")
    return random.Random(str(seed)) if seed is not None else secrets.SystemRandom()


def _kept(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines() if str(path) != _NOT_KEPT and path.exists() else []
    return lines[0] if lines else ""


def _keep(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(f"{line}\n", encoding="utf-8")
