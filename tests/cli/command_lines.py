"""Command lines small enough to run in a test, and the running of them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from typer.testing import CliRunner, Result

from cli.boundary import SIGNALS
from cli.main import app

Run = Callable[..., Result]

DATA = ("--dataset", "tiny", "--device", "cpu")
NETWORK = ("--stages", "1", "--layers", "2", "--feature-maps", "4")
SMALL = (*DATA, *NETWORK, "--epochs", "1", "--batch-size", "2")
SEARCH = (
    "--space",
    "rates",
    "--budget",
    "24",
    "--population",
    "2",
    "--generations",
    "1",
    "--proxy-steps",
    "2",
    "--executor",
    "serial",
)
GLOBAL = ("search-global", *SMALL, *SEARCH, "--final-seeds", "1")
LOCAL = ("--updates", "1", "--interval-steps", "1")
TRAIN = ("train", *SMALL, "--hand-designed")


def invoke(*arguments: str) -> Result:
    """Run a command line in this process."""
    before = sys.argv
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    sys.argv = ["g2l", *arguments]
    try:
        return CliRunner().invoke(app, list(arguments))
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def refusal(told: Result) -> str:
    """Return the `error:` line of wrong input, having checked that it stands alone."""
    assert told.exit_code == 2, told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout == ""
    lines = told.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, told.stderr
    assert all(line.startswith("hint: ") for line in lines[lines.index(errors[0]) + 1 :])
    assert len(lines) - lines.index(errors[0]) <= 2
    return "\n".join(lines[lines.index(errors[0]) :])
