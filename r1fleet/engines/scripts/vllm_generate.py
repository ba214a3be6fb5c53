"""Generate with vLLM once and end: prompts from a file, answers as JSON lines; or a person types."""

import os
import sys

# Standard output is for answers alone: what libraries print, from their import on, goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import json  # noqa: E402
from pathlib import Path  # noqa: E402

from vllm import LLM, SamplingParams  # noqa: E402
from vllm.engine.arg_utils import EngineArgs, FlexibleArgumentParser  # noqa: E402

SAMPLING = {"max_new_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p"}


def main():
    """Load the model, answer every prompt, end with 0."""
    read = parser().parse_args()
    chosen = {name: getattr(read, option) for option, name in SAMPLING.items()}
    sampling = SamplingParams(**{name: value for name, value in chosen.items() if value is not None})
    engine = load(read)
    if read.interactive:
        for prompt in typed():
            tell(engine.generate([prompt], sampling)[0].outputs[0].text + "\n")
        return
    lines = Path(read.input_file).read_text(encoding="utf-8").splitlines()
    prompts = [line.strip() for line in lines if line.strip()]
    for output in engine.generate(prompts, sampling) if prompts else []:
        tell(json.dumps({"prompt": output.prompt, "text": output.outputs[0].text}, ensure_ascii=False) + "\n")


def load(read):
    """Make the engine, in the way that this version of vLLM has."""
    if hasattr(LLM, "from_engine_args"):
        return LLM.from_engine_args(EngineArgs.from_cli_args(read))
    own = {*SAMPLING, "input_file", "interactive"}
    return LLM(**{name: value for name, value in vars(read).items() if name not in own})


def parser():
    """Return a parser of vLLM's engine options and of this script's own."""
    made = FlexibleArgumentParser()
    EngineArgs.add_cli_args(made)
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--input-file")
    where.add_argument("--interactive", action="store_true")
    made.add_argument("--max-new-tokens", type=int)
    made.add_argument("--temperature", type=float)
    made.add_argument("--top-p", type=float)
    return made


def typed():
    """Yield what a person asks, until they say /exit or nothing more comes."""
    while True:
        tell(">>> ")
        line = sys.stdin.readline()
        if not line or line.strip() == "/exit":
            return
        if line.strip():
            yield line.strip()


def tell(text):
    """Write to standard output at once."""
    ANSWERS.write(text)
    ANSWERS.flush()


if __name__ == "__main__":
    main()
