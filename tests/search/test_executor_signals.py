"""Ctrl-C while worker processes are started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEAF = """
import os, signal, threading, time
from multiprocessing import resource_tracker
from g2l.search.executors.worker_handle import deaf

threading.Thread(target=threading.Event().wait, daemon=True).start()  # takes the signal instead of us
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append("heard"))
with deaf():
    resource_tracker.ensure_running()  # as the start of a worker does
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)  # until the other thread has taken it
    print(heard)
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()), heard)
"""


def test_no_worker_hears_ctrl_c_while_it_starts_and_nothing_breaks_its_start_off():
    done = subprocess.run(
        [sys.executable, "-c", DEAF],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["True", "[]", "False ['heard']"], done.stderr
