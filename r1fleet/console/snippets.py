"""How clients reach what is served: lines to copy, with the key by its reference and never by its value."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from r1fleet.inventory.addresses import is_loopback
from r1fleet.status import DeploymentRow, GangRow, StatusReport

_ASK = "Say hello."


def snippet_lines(report: StatusReport) -> Iterator[str]:
    """Spell for every endpoint how to ask it with curl and with OpenAI's Python client."""
    found = [(row, gang) for row in report.deployments for gang in row.gangs if gang.endpoint]
    if not found:
        yield report.message or "Nothing that is launched has an endpoint."
    for row, gang in found:
        replica = f", replica {gang.replica}" if len(row.gangs) > 1 else ""
        state = "" if gang.ready and row.state in ("ready", "degraded") else f" ({row.state})"
        yield f"# {row.cluster} / {row.name}{replica}{state}: {row.model}"
        yield from _tunnel(gang)
        yield ""
        yield from _curl(row, gang)
        if row.engine == "sglang":
            yield from ("", *_generate(row, gang))
        yield from ("", *_python(row, gang), "")


def _tunnel(gang: GangRow) -> Iterator[str]:
    parts = urlsplit(gang.endpoint)
    if is_loopback(parts.hostname or ""):
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        yield f"# it answers on {gang.leader} alone; from elsewhere first:"
        yield f"ssh -N -L {parts.port}:{host}:{parts.port} {shlex.quote(gang.via)}"


def _curl(row: DeploymentRow, gang: GangRow) -> Iterator[str]:
    body = {"model": row.model, "messages": [{"role": "user", "content": _ASK}]}
    yield from _posted(f"{gang.endpoint}/v1/chat/completions", body, row.api_key)


def _generate(row: DeploymentRow, gang: GangRow) -> Iterator[str]:
    body = {"text": "Once upon a time", "sampling_params": {"max_new_tokens": 32}}
    yield from _posted(f"{gang.endpoint}/generate", body, row.api_key)


def _posted(url: str, body: Mapping[str, Any], key: Mapping[str, Any] | None) -> Iterator[str]:
    yield f"curl {shlex.quote(url)} \\"
    if key:
        yield f'  -H "Authorization: Bearer {_in_shell(key)}" \\'
    yield "  -H 'Content-Type: application/json' \\"
    yield f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"


def _python(row: DeploymentRow, gang: GangRow) -> Iterator[str]:
    key = _in_python(row.api_key) if row.api_key else '"none"'
    yield from ["import os", ""] if row.api_key else []
    yield "from openai import OpenAI"
    yield ""
    yield f"client = OpenAI(base_url={json.dumps(gang.endpoint + '/v1')}, api_key={key})"
    yield "answer = client.chat.completions.create("
    yield f"    model={json.dumps(row.model)},"
    yield f'    messages=[{{"role": "user", "content": "{_ASK}"}}],'
    yield ")"
    yield "print(answer.choices[0].message.content)"


def _in_shell(key: Mapping[str, Any]) -> str:
    if "env" in key:
        return f"${{{key['env']}}}"
    return f"$(cat {_path(str(key['file']))})" if "file" in key else "${API_KEY}"


def _in_python(key: Mapping[str, Any]) -> str:
    if "file" in key:
        return f"open(os.path.expanduser({json.dumps(str(key['file']))})).read().strip()"
    return f"os.environ[{json.dumps(key.get('env', 'API_KEY'))}]"


def _path(path: str) -> str:
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
