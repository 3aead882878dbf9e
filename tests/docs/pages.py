"""The code blocks of a page, and running them as a reader would: in their order, in one folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:<!-- (not run: |)([^>]+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = {"bash", "python"}
SERVES = "serves until it is stopped"
"""Comment above a block that does not end by itself."""
PORT = "5000"
"""On which MLflow serves unless told otherwise, and in all documents."""

SERVER = {"MLFLOW_WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""As little as will answer."""


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    excuse: str | None
    """Why it is not run, where it is not."""
    serves: bool


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that could be run."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [
        Block(language, code, comment if not_run else None, serves=comment == SERVES)
        for not_run, comment, language, code in found
        if language in RUNNABLE
    ]


def run_bash(code: str, folder: Path, **variables: str) -> str:
    """Run a block of shell commands and return what it printed; any command that fails fails the test."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=_environment(folder) | variables,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_page(
    page: Path, folder: Path, *, only: str | None = None, given: Mapping[str, str] | None = None
) -> list[str]:
    """Run the blocks of a page in their order; return what each printed, nothing where it serves.

    What a block exports holds for the blocks after it, and what serves does so to the end of the page.

    Args:
        page: The page.
        folder: Where its reader is.
        only: Language of the blocks to run, or None for all.
        given: What a reader puts in the place of what is printed, such as of a run's id.
    """
    said, exported, port = [], "", str(_free_port())
    given = {PORT: port} | dict(given or {})
    with ExitStack() as serving:
        for block in blocks(page):
            if block.excuse is not None or only not in (None, block.language):
                continue
            code = block.code
            for printed, value in given.items():
                code = code.replace(printed, value)
            if block.language == "python":
                code = f"python - <<'PYTHON'\n{code}PYTHON\n"
            if block.serves:
                serving.enter_context(_served(exported + code, folder, port))
                said.append("")
            else:
                said.append(run_bash(exported + code, folder))
            exported += "".join(re.findall(r"^export .*\n", code, re.MULTILINE))
    return said


@contextmanager
def _served(code: str, folder: Path, port: str) -> Iterator[None]:
    """Run a block that serves until the end of the `with`, which it must reach alive."""
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=folder,
            env=_environment(folder) | SERVER | {"MLFLOW_PORT": port},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    said = (folder / "server.log").read_text
    try:
        deadline = time.monotonic() + 120
        while not _answers(port):
            assert server.poll() is None, f"{code}\n{said()}"
            assert time.monotonic() < deadline, f"{code}\n{said()}"
            time.sleep(0.2)
        yield
        assert server.poll() is None, f"{code}\n{said()}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    search = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "PATH": search}
