"""The one text of a resolved scenario, and the hash that names its runs.

The text is YAML 1.2 in block style: keys in the order given (the schema's), floats with the
digits that bring back the same double, no aliases, no tags. Reading it back with
`sim.scenario.yamlfile` gives the same data.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from sim.scenario.yamlfile import Plain

SEEDS: Final = "seeds"
MAX_KEY_LENGTH: Final = 1000

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_RESERVED: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def to_yaml(data: Plain) -> str:
    """The canonical text of plain data, with a newline at its end.

    Args:
        data: dict (text keys), list, tuple, str, bool, int, finite float or None, nested.

    Raises:
        TypeError: something else, or a key that is not text.
        ValueError: a number that is not finite, or a key longer than `MAX_KEY_LENGTH`.
    """
    if isinstance(data, Mapping | list | tuple) and data:
        return "\n".join(_block(data, "")) + "\n"
    return to_flow(data) + "\n"


def to_flow(data: Plain) -> str:
    """Plain data on one line, as a value of `--set` may be written; the same rules and errors."""
    if isinstance(data, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {to_flow(v)}" for k, v in data.items()) + "}"
    if isinstance(data, list | tuple):
        return "[" + ", ".join(to_flow(item) for item in data) + "]"
    return _scalar(data)


def hash8(resolved: Mapping[str, Plain], data_hashes: Mapping[str, str], version: str) -> str:
    """The name of a run: first 8 hex digits of the SHA-256 over all that decides its numbers.

    Args:
        resolved: the resolved scenario; its top-level `seeds` are left out, since runs of
            one scenario with several seeds stand side by side.
        data_hashes: hash of each data file by name.
        version: the program's version.
    """
    return digest(
        {
            "scenario": {key: value for key, value in resolved.items() if key != SEEDS},
            "data": {name: data_hashes[name] for name in sorted(data_hashes)},
            "version": version,
        }
    )[:8]


def digest(data: Plain) -> str:
    """SHA-256 of the canonical text, 64 hex digits."""
    return hashlib.sha256(to_yaml(data).encode()).hexdigest()


def _block(data: Plain, indent: str) -> Iterator[str]:
    """The lines of a mapping or list that is not empty."""
    mapping = isinstance(data, Mapping)
    for item in data.items() if mapping else data:
        key, value = item if mapping else ("", item)
        head = f"{indent}{_key(key)}:" if mapping else f"{indent}-"
        if not (isinstance(value, Mapping | list | tuple) and value):
            yield f"{head} {to_flow(value)}"
            continue
        lines = list(_block(value, indent + "  "))
        if mapping:
            yield head
            yield from lines
        else:
            yield f"{head} {lines[0].lstrip(' ')}"
            yield from lines[1:]


def _key(key: Plain) -> str:
    if not isinstance(key, str):
        raise TypeError(f"key {key!r} is not text")
    text = _text(key)
    if len(text) > MAX_KEY_LENGTH:
        raise ValueError(f"key {key[:40]!r}... has more than {MAX_KEY_LENGTH} characters")
    return text


def _scalar(value: Plain) -> str:
    """One scalar; numbers are written so that the same number is read back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")
        return repr(float(value))
    if isinstance(value, str):
        return _text(value)
    raise TypeError(f"{type(value).__name__} {value!r} has no YAML form")


def _text(text: str) -> str:
    """Bare where no reader can take it for anything but text, else in double quotes."""
    if _WORD.fullmatch(text) and text.lower() not in _RESERVED:
        return str(text)
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
