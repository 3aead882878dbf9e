"""Feeds spoilt files to readers, in a process of its own, which a crash of native code may end.

Said on stdout, a JSON line each: the number of the mutant before it is read, and what went wrong with it.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import traceback
import warnings
from pathlib import Path

import fuzz_commands
import fuzz_targets

from g2l.errors import InputError, OperationalError

MEMORY = 2 * 2**30
"""Bytes of address space that reading may add."""
LONGEST_MESSAGE = 2000


def main(kind: str, folder: Path, seed: int) -> None:
    warnings.simplefilter("ignore")
    if kind == "commands":
        for number, told in enumerate(fuzz_commands.faults(folder, random.Random(seed)), start=1):
            say({"number": number, "target": "g2l predict"} | ({"fault": told} if told else {}))
        return
    targets = {"files": fuzz_targets.file_targets, "models": fuzz_targets.model_targets}[kind](folder)
    for target in targets:  # what is whole is read, and so is all code imported before memory is bounded
        for whole in target.whole:
            _write(folder / target.file, whole)
            fault = fault_of(target, folder / target.file)
            assert fault is None, (target.name, fault)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    number = 0
    for target in targets:
        for spoil in target.mutants:
            for _ in range(target.count):
                number += 1
                chance = random.Random(f"{seed} {target.name} {number}")
                path = folder / target.file
                _write(path, spoil(chance.choice(target.whole), chance))
                say({"number": number, "target": target.name})
                fault = fault_of(target, path)
                if fault is not None:
                    say({"number": number, "target": target.name, "fault": fault})


def fault_of(target: fuzz_targets.Target, path: Path) -> str | None:
    """Return what is wrong with how a reader took a file, or None."""
    try:
        target.read(path)
    except (InputError, OperationalError) as error:
        if "\n" in error.message or len(error.message) > LONGEST_MESSAGE:
            return f"no line: {error.message[:500]!r}"
        if path.name not in error.message:
            return f"names no file: {error.message!r}"
    except Exception:
        return traceback.format_exc(limit=-6)
    left = [other.name for other in path.parent.iterdir() if other.name.endswith(".tmp")]
    return f"left behind {left}" if left else None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
