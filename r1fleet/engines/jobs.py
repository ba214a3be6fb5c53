"""What jobs have in common: prompts from a file, from the deployment, or typed; one prompt a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final

from r1fleet.engines.interface import RankRequest
from r1fleet.spec import Deployment

PROMPTS: Final = "prompts.txt"
FAREWELL: Final = "/exit"
"""What a person's input ends with: DeepSeek's script and ours end well when they read it."""


def job_words(request: RankRequest) -> Iterator[str]:
    """Yield the options that our scripts and DeepSeek's spell alike; without an input they ask a person."""
    job = request.deployment.job
    if job is None:
        return
    source = input_of(request)
    yield from ("--input-file", source) if source else ("--interactive",)
    yield from () if job.max_new_tokens is None else ("--max-new-tokens", str(job.max_new_tokens))
    yield from () if job.temperature is None else ("--temperature", str(job.temperature))
    yield from () if job.top_p is None else ("--top-p", str(job.top_p))


def is_interactive(deployment: Deployment) -> bool:
    """Tell whether a job asks a person; one that says nothing of its input does."""
    return deployment.job is None or deployment.job.interactive


def input_of(request: RankRequest) -> str | None:
    """Return the file that prompts are read from; None where a person types them."""
    job = request.deployment.job
    if job is None or job.interactive:
        return None
    return job.input or f"{request.folder}/{PROMPTS}"


def job_files(request: RankRequest, script: str | None = None) -> Mapping[str, str]:
    """Return the files that a job reads in the launch's folder, by name."""
    job = request.deployment.job
    files = {script: _script(script)} if script else {}
    if job is not None and job.prompts:
        files[PROMPTS] = "".join(f"{prompt}\n" for prompt in job.prompts)
    return files


def _script(name: str) -> str:
    return resources.files("r1fleet.engines").joinpath("scripts", name).read_text(encoding="utf-8")
