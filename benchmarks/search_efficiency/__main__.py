"""Command line of the benchmark; every part can be interrupted and started again.

python -m benchmarks.search_efficiency search --data-root …      # run the searches
python -m benchmarks.search_efficiency judge --data-root …       # train what was found
python -m benchmarks.search_efficiency report --data-root …      # tables and plots of what there is
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.search_efficiency.problems import PROBLEMS, prepare
from benchmarks.search_efficiency.report import comparison, write
from benchmarks.search_efficiency.search import ARMS, run

PARTS = ("search", "judge", "report")


def main() -> None:
    """Run one part."""
    options = _parser().parse_args()
    work = options.work
    problems = [prepare(PROBLEMS[name], options.data_root, work) for name in options.problems]
    if options.part == "report":
        write(problems, work)
        return
    for problem in problems:
        if options.part == "judge":
            found = comparison(problem, work)
            print(problem.name, found and [curve.arm for curve in found.curves], flush=True)
        else:
            for seed in range(options.seeds):
                for name in options.arms:
                    record = run(ARMS[name], problem, seed, work)
                    print(problem.name, name, seed, record["steps"], record["seconds"], flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="where sets not made here are")
    parser.add_argument("--work", type=Path, default=Path("runs/search_efficiency"), help="where records are")
    return parser


if __name__ == "__main__":
    main()
