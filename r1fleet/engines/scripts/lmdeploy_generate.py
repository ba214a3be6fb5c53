"""Generate with LMDeploy's pipeline once and end: prompts from a file, one a line, or typed; one JSON line for each."""

import argparse
import json
import sys
from pathlib import Path

from lmdeploy import GenerationConfig, PytorchEngineConfig, TurbomindEngineConfig, pipeline

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
        for line in sys.stdin:
            answer(engine, [line.strip()] if line.strip() else [], GenerationConfig(**sampling))
    else:
        lines = Path(options.input_file).read_text(encoding="utf-8").splitlines()
        answer(engine, [line.strip() for line in lines if line.strip()], GenerationConfig(**sampling))


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


def answer(engine, prompts, config):
    """Print an answer for each prompt, asked as a chat."""
    asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
    for prompt, output in zip(prompts, engine(asked, gen_config=config) if asked else [], strict=True):
        sys.stdout.write(json.dumps({"prompt": prompt, "text": output.text}, ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
