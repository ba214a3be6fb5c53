"""Generate with vLLM once and end: prompts from a file, one a line, or typed; one JSON line for each answer."""

import json
import sys
from pathlib import Path

from vllm import LLM, SamplingParams
from vllm.engine.arg_utils import EngineArgs, FlexibleArgumentParser

SAMPLING = {"max_new_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p"}


def main():
    """Load the model, answer every prompt, end with 0."""
    read = parser().parse_args()
    chosen = {name: getattr(read, option) for option, name in SAMPLING.items()}
    sampling = SamplingParams(**{name: value for name, value in chosen.items() if value is not None})
    engine = load(read)
    if read.interactive:
        for line in sys.stdin:
            answer(engine, [line.strip()] if line.strip() else [], sampling)
    else:
        lines = Path(read.input_file).read_text(encoding="utf-8").splitlines()
        answer(engine, [line.strip() for line in lines if line.strip()], sampling)


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


def answer(engine, prompts, sampling):
    """Print an answer for each prompt."""
    for output in engine.generate(prompts, sampling) if prompts else []:
        told = {"prompt": output.prompt, "text": output.outputs[0].text}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
