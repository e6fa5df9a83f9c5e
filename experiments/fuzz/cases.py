"""Ways to damage a file, for `run.py`. All are functions of the bytes and a generator."""

import struct
import zlib
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEADER = 256  # bytes in which most formats keep what matters
WORDS = (
    b"\0",
    b"nan",
    b"inf",
    b"-1",
    b"1e999",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"../",
    b"\xff\xfe",
    b"9" * 40,
    "Küche 北".encode(),
    b"{",
    b"[" * 2000,
    b"null",
)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def mutated(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """The name of a mutation chosen at random, and what it makes of `data`, often two in a row."""
    names = [str(rng.choice(list(MUTATIONS))) for _ in range(int(rng.integers(1, 3)))]
    for name in names:
        data = MUTATIONS[name](data, rng)
    if data.startswith(PNG_SIGNATURE) and rng.random() < 0.5:
        return "+".join([*names, "checksums"]), _repaired_png(data)
    return "+".join(names), data


def _place(data: bytes, rng: np.random.Generator) -> int:
    """Anywhere, or as often near the start."""
    end = len(data) if rng.random() < 0.5 else min(HEADER, len(data))
    return int(rng.integers(max(end, 1)))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        changed[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _noise(data: bytes, rng: np.random.Generator) -> bytes:
    start = _place(data, rng)
    noise = rng.bytes(int(rng.integers(1, 65)))
    return (data[:start] + noise + data[start + len(noise) :])[: len(data)]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    start = _place(data, rng)
    return data[:start] + rng.bytes(int(rng.integers(1, 17))) + data[start:]


def _splice(data: bytes, rng: np.random.Generator) -> bytes:
    """A stretch of the file stands at another place as well."""
    start, target = _place(data, rng), _place(data, rng)
    piece = data[start : start + int(rng.integers(1, 400))]
    return data[:target] + piece + data[target + len(piece) * int(rng.integers(2)) :]


def _zeros(data: bytes, rng: np.random.Generator) -> bytes:
    start = _place(data, rng)
    length = int(rng.integers(1, 2000))
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    """A field such as a length becomes extreme, or changes a little."""
    size, order = int(rng.choice((1, 2, 4, 8))), str(rng.choice(("<", ">")))
    start = min(_place(data, rng), max(len(data) - size, 0))
    field = data[start : start + size]
    if len(field) < size:
        return data
    code = order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
    (value,) = struct.unpack(code, field)
    near = (value + 1, value - 1, value * 2, len(data), 2**62)
    chosen = int(rng.choice(np.array([*EXTREMES, *(each % 2**63 for each in near)], np.uint64)))
    return data[:start] + struct.pack(code, chosen % 256**size) + data[start + size :]


def _word(data: bytes, rng: np.random.Generator) -> bytes:
    start = _place(data, rng)
    word = WORDS[int(rng.integers(len(WORDS)))]
    return data[:start] + word + data[start + len(word) * int(rng.integers(2)) :]


def _lines(data: bytes, rng: np.random.Generator) -> bytes:
    """A line is repeated, left out or moved."""
    lines = data.split(b"\n")
    line = lines.pop(int(rng.integers(len(lines))))
    for _ in range(int(rng.integers(3))):
        lines.insert(int(rng.integers(len(lines) + 1)), line)
    return b"\n".join(lines)


def _digits(data: bytes, rng: np.random.Generator) -> bytes:
    """Some decimal digits become others: what stands there stays a number."""
    changed = bytearray(data)
    digits = [i for i, byte in enumerate(data[:5000]) if 48 <= byte < 58]
    for place in rng.choice(digits, min(3, len(digits)), replace=False) if digits else ():
        changed[int(place)] = 48 + int(rng.integers(10))
    return bytes(changed)


def _repaired_png(data: bytes) -> bytes:
    """With the checksum each block should have, so that the damage reaches the decoder."""
    start, parts = len(PNG_SIGNATURE), [PNG_SIGNATURE]
    while start + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        block = data[start + 4 : start + 8 + length]
        parts += [data[start : start + 4], block, struct.pack(">I", zlib.crc32(block))]
        start += 12 + length
    return b"".join(parts)


MUTATIONS: dict[str, Mutation] = {
    "bit flips": _flip,
    "noise": _noise,
    "truncation": _cut,
    "dropped bytes": _drop,
    "inserted bytes": _insert,
    "splice": _splice,
    "zero run": _zeros,
    "number field": _number,
    "word": _word,
    "lines": _lines,
    "digits": _digits,
}
