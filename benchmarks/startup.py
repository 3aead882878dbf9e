"""How long `g2l --help` takes as a whole process.

Run from the repository root: `python -m benchmarks.startup`.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import Ratio, paired


def measure(*, pairs: int) -> Ratio:
    """Return seconds of `g2l --help` over seconds of a bare interpreter."""

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    return paired(lambda: run("-m", "cli", "--help"), lambda: run("-c", ""), pairs=pairs, warmup=2)


if __name__ == "__main__":
    print(f"g2l --help / bare interpreter {measure(pairs=11)}")
