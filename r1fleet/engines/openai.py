"""What engines with an OpenAI-compatible server have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def chat_completion(model: str, prompt: str, max_tokens: int) -> Mapping[str, Any]:
    """Return the body of a chat completion request whose answer does not vary."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
