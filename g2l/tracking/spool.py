"""A folder in which events and copies of artifacts wait until MLflow has them.

One tracker writes `<stem>.jsonl` (a header line, then events, append-only) and `<stem>.sent` (how far they
have been sent, and which MLflow run each local run became); files to upload lie in `<stem>/`. The writer
locks its events, so whatever is not locked was left by a process that is gone, and can be taken over.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from g2l.errors import OperationalError
from g2l.files import ensure_folder
from g2l.tracking.events import Action, Event, Header, RunRef
from g2l.tracking.lines import end_last_line, read_lines

logger = logging.getLogger("g2l")


class Spool:
    """Events of one tracker. One thread appends, another one reads and acknowledges.

    Args:
        path: The `.jsonl` file.
        descriptor: Its open, locked descriptor.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.sent = 0
        self.runs: dict[str, RunRef] = {}
        self._descriptor = descriptor
        self._files = path.with_suffix("")
        self._state = path.with_suffix(".sent")
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, folder: Path, header: Header) -> Spool:
        """Make a new spool in `folder`.

        Raises:
            InputError: The folder cannot be made or written.
            OperationalError: The disk is full or failing.
        """
        ensure_folder(folder)
        path = folder / f"{uuid.uuid4().hex}.jsonl"
        new = path.with_suffix(".new")  # others see it once it is locked and has a header
        try:
            # Readable by the owner only, for a tracking URI may hold a password.
            descriptor = os.open(new, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps(asdict(header)).encode() + b"\n")
            new.rename(path)
        except OSError as error:
            raise OperationalError(f"{folder}: cannot keep tracking events ({error.strerror}).") from error
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, folder: Path) -> list[Spool]:
        """Take over what processes that are gone left in `folder`, oldest first."""
        found = (cls._take_over(path) for path in folder.glob("*.jsonl"))
        return sorted((spool for spool in found if spool is not None), key=lambda spool: spool.modified)

    @classmethod
    def _take_over(cls, path: Path) -> Spool | None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            spool = cls(path, descriptor)
            spool._restore()
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            os.close(descriptor)
            # Another process holds it, or has just done away with it: nothing to tell.
            if not isinstance(error, (BlockingIOError, FileNotFoundError)):
                logger.warning("%s: cannot be read as tracking events and is left alone.", path)
            return None
        return spool

    @property
    def modified(self) -> float:
        """When an event was last added, in seconds since 1970."""
        return os.fstat(self._descriptor).st_mtime

    @property
    def header(self) -> Header:
        """Where the events belong."""
        return Header(**json.loads(read_lines(self._descriptor, 0)[0]))

    def append(self, event: Event) -> None:
        """Add an event; it survives the end of this process from here on."""
        line = event.to_line()
        os.write(self._descriptor, line)
        self.size += len(line)

    def new_file(self, name: str) -> Path:
        """Return a path to write a file called `name` to, which an event may then refer to."""
        path = self._files / uuid.uuid4().hex / Path(name).name
        path.parent.mkdir(parents=True)
        return path

    def relative(self, path: Path) -> str:
        """Return how an event refers to a path that `new_file` returned."""
        return path.relative_to(self._files).as_posix()

    def file(self, relative: str) -> Path:
        """Return the path that an event refers to."""
        return self._files / relative

    def read(self, offset: int) -> list[tuple[Event | None, int]]:
        """Return some events from `offset` on, each with the offset behind it; None for a damaged line."""
        events: list[tuple[Event | None, int]] = []
        for line in read_lines(self._descriptor, offset):
            offset += len(line)
            if offset > len(line):  # the header is no event
                events.append((_parse(line, self.path), offset))
        return events

    def count_unsent(self) -> int:
        """Return how many events have not been sent."""
        return sum(1 for _ in self._events(self.sent))

    def open_runs(self) -> list[str]:
        """Return local ids of the runs that were opened and not finished, youngest first."""
        opened: dict[str, None] = {}
        for event in self._events(0):
            if event is not None and event.action is Action.OPEN:
                opened[event.run] = None
            elif event is not None and event.action is Action.FINISH:
                opened.pop(event.run, None)
        return list(reversed(opened))

    def remember(self, run: str, ref: RunRef) -> None:
        """Keep which MLflow run a local run became."""
        self.runs[run] = ref
        self._note({"run": run, "run_id": ref.run_id, "experiment_id": ref.experiment_id})

    def acknowledge(self, offset: int) -> None:
        """Note that every event before `offset` has been sent."""
        self.sent = offset
        self._note({"sent": offset})

    def discard(self, relative: str) -> None:
        """Remove a file that has been uploaded."""
        shutil.rmtree(self.file(relative).parent, ignore_errors=True)

    def remove(self) -> None:
        """Remove everything; the events have been sent."""
        shutil.rmtree(self._files, ignore_errors=True)
        self._state.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let another process take the spool over."""
        os.close(self._descriptor)

    def _events(self, offset: int) -> Iterator[Event | None]:
        while events := self.read(offset):
            offset = events[-1][1]
            yield from (event for event, _ in events)

    def _note(self, value: dict[str, Any]) -> None:
        with self._state.open("a", encoding="utf-8") as state:
            state.write(json.dumps(value) + "\n")

    def _restore(self) -> None:
        _ = self.header  # raises on a damaged one
        end_last_line(self.path)
        self.size = os.fstat(self._descriptor).st_size
        if not self._state.exists():
            return
        end_last_line(self._state)
        for line in self._state.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # the last line may be torn
                value = json.loads(line)
                if "sent" in value:
                    self.sent = int(value["sent"])
                else:
                    self.runs[value["run"]] = RunRef(value["run_id"], value["experiment_id"])


def _parse(line: bytes, path: Path) -> Event | None:
    try:
        return Event.from_line(line)
    except ValueError:
        logger.warning("%s: a damaged tracking event is left out.", path)
        return None
