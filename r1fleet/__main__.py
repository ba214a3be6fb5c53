"""The entry point of ``r1fleet`` and ``python -m r1fleet``."""

from __future__ import annotations

import gc
import sys

from r1fleet.cli.main import run


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(50_000)  # imports allocate much and leave nothing to collect: a tenth of the start
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
