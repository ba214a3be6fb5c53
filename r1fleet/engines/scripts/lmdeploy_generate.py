"""Generate with LMDeploy's pipeline once and end: prompts from a file, answers as JSON lines; or a person types."""

import os
import sys

# Standard output is for answers alone: what libraries print, from their import on, goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import argparse  # noqa: E402
import json  # noqa: E402
from pathlib import Path  # noqa: E402

from lmdeploy import GenerationConfig, PytorchEngineConfig, TurbomindEngineConfig, pipeline  # noqa: E402

CONFIGS = {"pytorch": PytorchEngineConfig, "turbomind": TurbomindEngineConfig}


def main():
    """Load the model, answer every prompt, end with 0."""
    options = parser().parse_args()
    sampling = {"max_new_tokens": options.max_new_tokens, "temperature": options.temperature, "top_p": options.top_p}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    if sampling.get("temperature"):
        sampling["do_sample"] = True
    config = CONFIGS[options.backend](**json.loads(options.engine_config))
    engine = pipeline(options.model, backend_config=config)
    if options.interactive:
        for prompt in typed():
            tell(answers(engine, [prompt], sampling)[0] + "\n")
        return
    lines = Path(options.input_file).read_text(encoding="utf-8").splitlines()
    prompts = [line.strip() for line in lines if line.strip()]
    for prompt, text in zip(prompts, answers(engine, prompts, sampling) if prompts else [], strict=True):
        tell(json.dumps({"prompt": prompt, "text": text}, ensure_ascii=False) + "\n")


def parser():
    """Return the parser of this script's options."""
    made = argparse.ArgumentParser()
    made.add_argument("model")
    made.add_argument("--backend", choices=sorted(CONFIGS), default="pytorch")
    made.add_argument("--engine-config", default="{}")
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--input-file")
    where.add_argument("--interactive", action="store_true")
    made.add_argument("--max-new-tokens", type=int)
    made.add_argument("--temperature", type=float)
    made.add_argument("--top-p", type=float)
    return made


def answers(engine, prompts, sampling):
    """Return an answer to each prompt, asked as a chat."""
    asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
    return [output.text for output in engine(asked, gen_config=GenerationConfig(**sampling))]


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
