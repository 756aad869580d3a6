"""Files that nobody meant: bytes cut, doubled, swapped, and figures that do not fit."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

MAX_BYTES: Final = 2**21
NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD: Final = re.compile(rb"[A-Za-z_][\w-]*")
FIGURES: Final = (
    b"0", b"-1", b"1e999", b"-1e999", b"1e308", b"1e-320", b"nan", b"NaN", b"Infinity", b".nan",
    b".inf", b"-.inf", b"9" * 19, b"9" * 400, b"9" * 5000, b"1" * 30 + b".5", b"true", b"null", b"",
    b"2147483648", b"9223372036854775808", b"1e18", b"0x1F", b"1_000", b"\xd9\xa3", b"1/0",
    b"(-8)^0.5", b"9^9^9^9", b"'1'", b"[]", b"{}", b"[1]", b"1,2", b"- 1", b"+1", b"1.5", b"1e",
)  # fmt: skip
PIECES: Final = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\xc3", b"\xf0\x9f\x92\xa1", b"\r", b"\r\n",
    b"\xe2\x80\xa8", b"\t", b"'", b'"', b"&a ", b"*a", b"<<: *a\n", b"!!python/object:os.system ",
    b"---\n", b"...\n", b"%YAML 1.1\n", b"? ", b"| \n", b"{", b"}", b"[", b"]", b",", b":", b"%{\n",
    b"../../etc/passwd", b"/dev/zero", b"a\\b", b";", b"= ", b"mpc.", b"#", b"\x1b[31m", b"\x7f",
    b"[" * 200, b"{a: " * 200, b"(" * 200, b'{"a":' * 2000, b"-" * 300, b"9" * 200_000,
)  # fmt: skip


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """The file with one to six changes; at most `MAX_BYTES` long."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
        data = rng.choice(CHANGES)(data, rng, others)[:MAX_BYTES]
    return data


def _cut(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _without(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.randint(1, 60) :]


def _byte(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _piece(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(PIECES) + data[at:]


def _figure(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    return _swapped(data, rng, NUMBER, rng.choice(FIGURES))


def _word(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    words = WORD.findall(rng.choice(others)[:20_000]) or [b"x"]
    return _swapped(data, rng, WORD, rng.choice(words))


def _swapped(data: bytes, rng: random.Random, form: re.Pattern[bytes], new: bytes) -> bytes:
    start = rng.randint(0, max(0, len(data) - 20_000))
    found = [match.span() for match in form.finditer(data, start, start + 20_000)]
    if not found:
        return data + new
    first, last = rng.choice(found)
    return data[:first] + new + data[last:]


def _lines(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    """A line doubled, dropped, moved or indented."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    line = lines.pop(at)
    kind = rng.randrange(4)
    if kind == 0:
        lines[at:at] = [line, line]
    elif kind == 1:
        lines.insert(rng.randint(0, len(lines)), line)
    elif kind == 2:
        lines.insert(at, b"  " + line)
    return b"\n".join(lines)


def _spliced(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    start = rng.randint(0, len(other))
    at = rng.randint(0, len(data))
    return data[:at] + other[start : start + rng.randint(1, 2000)] + data[at:]


def _encoded(data: bytes, rng: random.Random, _others: Sequence[bytes]) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")), "replace")


CHANGES: Final[tuple[Change, ...]] = (
    _cut, _without, _byte, _byte, _piece, _piece, _figure, _figure, _figure, _figure,
    _word, _word, _word, _lines, _lines, _spliced, _encoded,
)  # fmt: skip
