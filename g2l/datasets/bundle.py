"""Bundles: the videos of one side of a split, one `<video>.txt` a line."""

from __future__ import annotations

from pathlib import Path

from g2l.datasets.faults import Fault, raise_first_error
from g2l.datasets.text_lines import numbered, read_lines


def read_bundle(path: Path) -> tuple[str, ...]:
    """Return the video names of a bundle, without `.txt`; other dots stay part of the name.

    Raises:
        DataError: The file is unreadable or names no video, a name occurs twice or is no plain file name.
    """
    faults: list[Fault] = []
    lines = parse_bundle(path, faults)
    raise_first_error(faults)
    return tuple(lines)


def parse_bundle(path: Path, faults: list[Fault]) -> dict[str, int]:
    """Return the line of each video name in the bundle's order, appending what is wrong to `faults`.

    Raises:
        DataError: The file cannot be read at all.
    """
    lines: dict[str, int] = {}
    found = False
    for number, text in numbered(read_lines(path)):
        found = True
        name = text.removesuffix(".txt")
        if reason := name_fault(name):
            faults.append(Fault(path, number, f"expected the file name of a video, but {text!r} {reason}."))
        elif name in lines:
            message = f"video {name!r} must occur once, but is also in line {lines[name]}."
            faults.append(Fault(path, number, message))
        else:
            lines[name] = number
    if not found:
        faults.append(Fault(path, None, "expected one `<video>.txt` a line, but the bundle is empty."))
    return lines


def name_fault(name: str) -> str | None:
    """Return why `name` may not name a video, or None when it may.

    File names are made of it, so it must not leave the folder of the data set or of the predictions.
    """
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if name in ("", ".", ".."):
        return "names a folder"
    if not name.isprintable():
        return "holds a control character"
    return None
