"""The code blocks of a page, and running them as a reader would: in their order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:<!-- not run: ([^>]+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = {"bash", "python"}


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    excuse: str | None
    """Why it is not run, where it is not."""


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that could be run."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(language, code, excuse or None) for excuse, language, code in found if language in RUNNABLE]


def run_bash(code: str, folder: Path, **variables: str) -> str:
    """Run a block of shell commands and return what it printed; any command that fails fails the test."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"} | variables
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def run_page(page: Path, folder: Path) -> int:
    """Run the blocks of a page in their order, Python in one process of its own; return how many ran."""
    ran = 0
    for block in blocks(page):
        if block.excuse is not None:
            continue
        code = block.code if block.language == "bash" else f"python - <<'PYTHON'\n{block.code}PYTHON\n"
        run_bash(code, folder)
        ran += 1
    return ran
