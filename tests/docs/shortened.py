"""The commands of the documents as they are printed, but trained for moments on a network of some neurons.

`install` leaves stand-ins for `g2l` and `python` in a folder for the front of `PATH`: options that a block
does not give get small values, all else is as it stands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
NETWORK = {"--stages": "1", "--layers": "2", "--feature-maps": "4", "--epochs": "1"}
GLOBAL = {
    "--population": "2",
    "--generations": "1",
    "--proxy-steps": "2",
    "--space": "rates",
    "--budget": "60",
    "--executor": "serial",  # a worker takes seconds to start
}
LOCAL = {"--updates": "1", "--interval-steps": "2"}
SMALL = {
    "data synth": {"--videos": "8", "--frames": "60"},
    "context": {"--feature-maps": "4", "--epochs": "1", "--points": "2"},
    "train": NETWORK,
    "search-global": NETWORK | GLOBAL,
    "search-local": NETWORK | LOCAL,
    "pipeline": NETWORK | GLOBAL | LOCAL,
}

STAND_IN = """#!{python}
import os, sys
sys.path.insert(0, {root!r})
from tests.docs.shortened import shortened
os.execv({g2l!r}, [{g2l!r}, *shortened(sys.argv[1:])])
"""
PYTHON = """#!/bin/bash
# An entry point of MLproject is a command of this module.
if [ "$1 $2" = "-m cli" ]; then exec '{stand_in}' "${{@:3}}"; fi
exec '{python}' "$@"
"""


def shortened(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with small values for what is not given, or given as nothing."""
    small = SMALL.get(" ".join(arguments[:1]), {}) | SMALL.get(" ".join(arguments[:2]), {})
    found = list(arguments)
    for option, value in small.items():
        if option not in found:
            found += [option, value]
        elif found[found.index(option) + 1] == "":  # MLproject's "not given"
            found[found.index(option) + 1] = value
    return found


def install(folder: Path) -> None:
    """Write the stand-ins into an existing folder."""
    python = sys.executable
    stand_in = folder / "g2l"
    g2l = str(Path(python).with_name("g2l"))
    stand_in.write_text(STAND_IN.format(python=python, root=str(ROOT), g2l=g2l))
    (folder / "python").write_text(PYTHON.format(stand_in=stand_in, python=python))
    for path in folder.iterdir():
        path.chmod(0o755)
