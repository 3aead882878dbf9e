"""Where commands may write: never over a data set, nor over files that no command of g2l has written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from g2l.errors import InputError, OperationalError, listed
from g2l.files import atomic_path, ensure_folder, hold_folder, read_json, write_json

LOCK = ".g2l.lock"
MANIFEST = "manifest.json"
MANIFEST_SCHEMA = "g2l.manifest/1"
_OURS = (LOCK, "run.json", MANIFEST)
"""A folder that holds one of these was written by a command, even by one that was killed early."""


def refuse_data_set(path: Path) -> None:
    """Raise InputError if a path lies in the folder of a data set: annotations would be replaced."""
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        labelled = (folder / "mapping.txt").is_file() and (folder / "groundTruth").is_dir()
        if labelled or ((folder / "features").is_dir() and (folder / "splits").is_dir()):
            raise InputError(
                f"{path}: expected an output outside of data sets, but it is in the data set {folder}.",
                hint="choose an output folder that is not part of a data set.",
            )


def refuse_foreign_folder(folder: Path, ours: Sequence[str] = _OURS) -> None:
    """Raise InputError if a folder belongs to a data set, or holds files but none of `ours`."""
    refuse_data_set(folder)
    if not folder.is_dir() or any((folder / name).exists() for name in ours):
        return
    found = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".tmp"))
    if found:
        raise InputError(
            f"{folder}: expected an empty folder or one written by g2l, but it holds {listed(found, 3)}.",
            hint="choose another output folder.",
        )


def refuse_foreign_file(path: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raise InputError if a path belongs to a data set, or to a file that the command has not written."""
    refuse_data_set(path)
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, but it is a directory.")
    if path.exists() and path.stat().st_size and not is_ours(path):
        raise InputError(
            f"{path}: exists, and was not written by this command.",
            hint="choose another --output, or remove it first.",
        )


def read_manifest(folder: Path) -> set[str]:
    """Return the names of the files that earlier commands have listed as theirs, relative to the folder."""
    path = folder / MANIFEST
    if not path.exists():
        return set()
    value = read_json(path)
    names = value.get("files") if isinstance(value, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: expected a list of file names under `files`.")
    if not all(name and not Path(name).is_absolute() and ".." not in Path(name).parts for name in names):
        raise InputError(f"{path}: expected files of its folder under `files`, found another.")
    return set(names)


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """List the files that a command is about to write, before the first of them is written."""
    write_json(folder / MANIFEST, {"schema": MANIFEST_SCHEMA, "files": sorted(names)})


def refuse_foreign_names(folder: Path, names: Iterable[str], ours: set[str]) -> None:
    """Raise InputError if one of `names` exists in a folder without being listed in its manifest."""
    found = sorted(name for name in names if name not in ours and (folder / name).exists())
    if found:
        message = f"{folder}: would be replaced, but not written by g2l: {listed(found, 3)}."
        raise InputError(message, hint="choose another output folder.")


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files of a folder, and the folders below it that become empty."""
    for name in names:
        path = folder / name
        path.unlink(missing_ok=True)
        if path.parent != folder:
            with suppress(OSError):
                path.parent.rmdir()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links."""
    ensure_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{os.getpid():08x}.tmp")
    try:
        os.link(source, temporary)
        temporary.replace(target)
    except OSError:
        with atomic_path(target) as copy:
            shutil.copyfile(source, copy)
    finally:
        temporary.unlink(missing_ok=True)  # two names of one file are not renamed onto each other


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Own a folder, which is made if it is missing; a process that dies lets go.

    `.g2l.lock` in it names the owner. InputError if that is another process.
    """
    ensure_folder(folder)
    path = folder / LOCK
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_folder(folder))
        except OperationalError:
            raise InputError(
                f"{folder}: is in use by {_owner(path)}.",
                hint="wait until it has ended, or choose another output folder.",
            ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        write_json(path, {"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _owner(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(found['pid'])} on {found['host']} since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
