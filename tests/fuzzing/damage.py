"""What goes wrong with files, as strategies: bits flip, writes are torn, editors meddle, headers lie."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NUMBERS = (b"0", b"-1", b"1e308", b"NaN", b"Infinity", b"99999999999999999999", b"9" * 5000, b"true", b"1.5")
NUISANCES = (
    *(b"\x00", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\r", b"\n\n", b"\xe2\x80\xa8", b" ", b'"', b"/../"),
)
SHAPES = (
    *("(4, 10)", "(10, 4)", "()", "(40,)", "(4, 10, 1)", "(0, 10)", "(-4, -10)", "(4, 11)", "(4, 10**9)"),
    *("(4, 99999999999999)", "(2**62, 2**62)", "(4, 4611686018427387904)", "(True, 4)", "(4.0, 10)", "None"),
    *(f"({'9' * 4000}, 1)", f"(4, 0x{'f' * 5000})", "(" * 300 + ")" * 300, "(4, 'a')", "[4, 10]", "(4, -1)"),
)
TYPES = (
    *("'<f4'", "'>f8'", "'|O'", "'<U3'", "'|V4'", "'<c8'", "'<M8[s]'", "'<f2'", "'|b1'", "'<i8'", "'f'"),
    *("[('a', '<f4')]", "'<V999999999'", "''", "None", "('<f4', (4, 10))", "'<f16'", "'|S99999999999'"),
)
VALUES = (
    *(None, True, -1, 0, 2**24, 10**400, 1e308, float("nan"), "", "x" * 5000, "\ud800", [], {}, [[]], "a\nb"),
)
DEEP = "[" * 100_000


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return a file with one to three things wrong."""
    data = whole
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        start, length = draw(st.integers(0, len(data) - 1)), draw(st.integers(1, 40))
        head, part, tail = data[:start], data[start : start + length], data[start + length :]
        found = [match.span() for match in re.finditer(rb"\d+", data)] or [(0, 0)]
        first, last = draw(st.sampled_from(found))
        inserted = draw(st.sampled_from(NUISANCES) | st.binary(min_size=1, max_size=20))
        flipped = bytes([part[0] ^ 1 << draw(st.integers(0, 7))]) + part[1:]
        changes = (
            *(
                head,
                head + tail,
                head + part * 4 + tail,
                head + flipped + tail,
                head + inserted + part + tail,
            ),
            *(head + blank * len(part) + tail for blank in (b"\x00", b"\xff")),
            *(mark + data for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")),
            *(data.replace(b"\n", end) for end in (b"\r\n", b"\r", b"\n\n")),
            *(data[:first] + number + data[last:] for number in NUMBERS),
        )
        data = draw(st.sampled_from(changes))
    return data


@st.composite
def damaged_json(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return a JSON text with one value or name replaced, dropped or repeated, or made absurdly deep."""
    value = json.loads(whole)
    holder, key = draw(st.sampled_from([*_places(value)]))
    action = draw(st.sampled_from(["drop", "rename", "repeat", "deep", "replace", "replace"]))
    if action == "drop":
        del holder[key]
    elif action == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from(["", "schema", "stages", "stage1.layers.0.conv_dilated"]))] = holder.pop(
            key
        )
    elif action == "repeat" and isinstance(holder, list):
        holder[key:key] = holder[key : key + 1] * draw(st.sampled_from((1, 3, 1000)))
    elif action == "deep":
        marked = json.dumps(value | {"deep": 0} if isinstance(value, dict) else [value, 0])
        return (marked[:-2] + DEEP + marked[-1:]).encode()
    else:
        holder[key] = draw(st.sampled_from(VALUES))
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every element of every container inside a JSON value."""
    for key in [*value] if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


@st.composite
def damaged_npy(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return a `.npy` file whose header says something else."""
    kind = draw(st.just("'<f4'") | st.sampled_from(TYPES))
    order = draw(st.sampled_from(("True", "False", "None")))
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {draw(st.sampled_from(SHAPES))}, }}"
    text = header.ljust(117).encode("latin-1") + b"\n"
    length = draw(st.sampled_from((len(text),) * 6 + (0, 65535, len(text) // 2)))
    version = draw(st.sampled_from((b"\x01\x00",) * 6 + (b"\x02\x00", b"\x03\x00", b"\x09\x00")))
    size = struct.pack("<H" if version[0] == 1 else "<I", length)
    return whole[:6] + version + size + text + whole[128:]
