"""Find the token that the hubs' own tools would use, where those tools keep it."""

from __future__ import annotations

import os
from typing import Mapping, Optional

PLACES = {
    "huggingface": "HF_TOKEN, or the file that `hf auth login` writes (~/.cache/huggingface/token)",
    "modelscope": "MODELSCOPE_API_TOKEN",
}
"""Where a token is looked for, by kind of hub, as a message says it."""


def find(kind: str, environ: Mapping[str, str]) -> Optional[str]:
    """Return the token for a kind of hub; None where there is none.

    ModelScope's own login keeps its token in a pickle, which is code: it is not read.
    """
    if kind == "modelscope":
        return environ.get("MODELSCOPE_API_TOKEN", "").strip() or None
    given = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN") or _kept(environ)
    return given.strip() or None


def _kept(environ: Mapping[str, str]) -> str:
    home = environ.get("HF_HOME") or os.path.join(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    path = environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            return stream.read(4096)
    except (OSError, ValueError):
        return ""
