"""What goes wrong with files: bits that flip, writes that are torn, editors that meddle, headers that lie."""

from __future__ import annotations

import json
import random
import re
import struct

NUMBERS = (b"0", b"-1", b"1e308", b"NaN", b"Infinity", b"99999999999999999999", b"9" * 5000, b"true", b"1.5")
NUISANCES = (
    b"\x00",
    b"\xff\xfe",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\r",
    b"\n\n",
    b"\xe2\x80\xa8",
    b" ",
    b'"',
    b"/../",
)


def _flip(data, random):
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(data))
        data[place] ^= 1 << random.randrange(8)


def _truncate(data, random):
    del data[random.randrange(len(data)) :]


def _delete(data, random):
    start = random.randrange(len(data))
    del data[start : start + random.randint(1, 40)]


def _insert(data, random):
    place = random.randrange(len(data) + 1)
    data[place:place] = random.choice((random.randbytes(random.randint(1, 20)), *NUISANCES))


def _swap(data, random):
    size = max(1, len(data) // random.randint(2, 16))
    one, other = sorted(random.randrange(len(data)) for _ in range(2))
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


def _repeat(data, random):
    start = random.randrange(len(data))
    data[start:start] = data[start : start + random.randint(1, 200)] * random.randint(1, 5)


def _blank(data, random):
    start = random.randrange(len(data))
    end = min(len(data), start + random.randint(1, 32))
    data[start:end] = random.choice((b"\x00", b"\xff")) * (end - start)


def _number(data, random):
    found = [*re.finditer(rb"\d+", bytes(data))]
    if found:
        start, end = random.choice(found).span()
        data[start:end] = random.choice(NUMBERS)


def _byte_order_mark(data, random):
    data[:0] = random.choice((b"\xef\xbb\xbf", b"\xff\xfe"))


def _line_ends(data, random):
    data[:] = bytes(data).replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n")))


ANYWHERE = (
    *(_flip, _truncate, _delete, _insert, _swap, _repeat, _blank, _number),
    *(_byte_order_mark, _line_ends),
)


def mutated(data: bytes, random: random.Random) -> bytes:
    """Return a file with one to three things wrong."""
    result = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        if result:
            random.choice(ANYWHERE)(result, random)
    return bytes(result)


DEEP = "[" * 100_000
VALUES = (
    None,
    True,
    -1,
    0,
    2**24,
    10**400,
    1e308,
    float("nan"),
    "",
    "x" * 5000,
    "\ud800",
    [],
    {},
    [[]],
    "a\nb",
)


def mutated_json(data: bytes, random: random.Random) -> bytes:
    """Return a JSON text with one value or name replaced, dropped or said twice, or made absurdly deep."""
    value = json.loads(data)
    holder, key = random.choice([*_places(value)])
    action = random.randrange(5)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[random.choice(("", "schema", "stages", "stage1.layers.0.conv_dilated"))] = holder.pop(key)
    elif action == 2 and isinstance(holder, list):
        holder[key:key] = holder[key : key + 1] * random.choice((1, 3, 1000))
    elif action == 3:
        marked = json.dumps(value | {"deep": 0} if isinstance(value, dict) else [value, 0])
        return marked[:-2].encode() + DEEP.encode() + marked[-1:].encode()
    else:
        holder[key] = random.choice(VALUES)
    return json.dumps(value).encode()


def _places(value):
    """Every element of every container inside a JSON value."""
    for key in [*value] if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


SHAPES = (
    *("(4, 10)", "(10, 4)", "()", "(40,)", "(4, 10, 1)", "(0, 10)", "(-4, -10)", "(4, 11)", "(4, 10**9)"),
    *("(4, 99999999999999)", "(2**62, 2**62)", "(4, 4611686018427387904)", "(True, 4)", "(4.0, 10)", "None"),
    *(f"({'9' * 5000}, 1)", "(" * 300 + ")" * 300, "(4, 'a')", "[4, 10]", "(4, -1)"),
)
TYPES = (
    *("'<f4'", "'>f8'", "'|O'", "'<U3'", "'|V4'", "'<c8'", "'<M8[s]'", "'<f2'", "'|b1'", "'<i8'", "'f'"),
    *("[('a', '<f4')]", "'<V999999999'", "''", "None", "('<f4', (4, 10))", "'<f16'", "'|S99999999999'"),
)


def mutated_npy(data: bytes, random: random.Random) -> bytes:
    """Return a `.npy` file whose header says something else."""
    shape, kind = random.choice(SHAPES), random.choice((random.choice(TYPES), "'<f4'"))
    order = random.choice(("True", "False", "False", "None"))
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if random.random() < 0.1:
        header = header.replace("shape", random.choice(("Shape", "shape': (1, 1), 'shape", "")))
    text = header.ljust(117).encode("latin-1") + b"\n"
    length = random.choice((len(text),) * 6 + (0, 65535, len(text) // 2))
    version = random.choice((b"\x01\x00",) * 6 + (b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    size = struct.pack("<H" if version[0] == 1 else "<I", length)
    return data[:6] + version + size + text + data[128:]
