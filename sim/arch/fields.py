"""Reading the fields of a `config.json`: present, defaulted by the published class, or missing.

The defaults of each family's config class stand in `sim/data/arch/defaults/<family>.yaml`
with their source. A field that neither the file nor the class gives is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.datum import data_file, read_yaml
from sim.errors import InputError, Place

DEFAULTS_FOLDER = "arch/defaults"
MAX_COUNT = 2**31 - 1
MAX_LAYERS = 10_000
_MEND = "mend the field"
_LAYER_COUNTS = ("num_hidden_layers", "n_layer")
# Other names under which a family's config class goes.
SAME_CLASS = {
    "gemma3": "gemma3_text",
    "llama4": "llama4_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "kimi_k2": "deepseek_v3",
    "minimax_text_01": "minimax",
    "minimax_m1": "minimax",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
}


def short(value: object) -> str:
    """A value for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def defaults_file(family: str) -> str:
    """Where the class defaults of a `model_type` stand."""
    return f"{DEFAULTS_FOLDER}/{SAME_CLASS.get(family, family)}.yaml"


def family_defaults(family: str) -> dict[str, Any]:
    """Published class defaults of one family, `{}` if it has none."""
    path = defaults_file(family)
    defaults: dict[str, Any] = read_yaml(path)["defaults"] if data_file(path).is_file() else {}
    return defaults


class Fields:
    """One family's view of a config: typed access that records every default taken.

    Args:
        family: the `model_type`.
        values: the parsed config (its `text_config`, where nested).
        place: the file, for messages.
        where: the path of a field in that file.
    """

    def __init__(
        self,
        family: str,
        values: Mapping[str, Any],
        place: Place | None = None,
        where: Callable[[str], str] = str,
    ):
        self.family = family
        self.values = values
        self.place = place
        self._where = where
        self.defaults_used: list[str] = []
        self._defaults = family_defaults(family)

    def has(self, key: str) -> bool:
        """True if the file itself gives the field, and not as null."""
        return self.values.get(key) is not None

    def default(self, key: str) -> Any:
        """The published class default of a field the file does not hold, else None."""
        return None if key in self.values else self._defaults.get(key)

    def raw(self, *keys: str) -> Any:
        """First of `keys` in the file, else the class default of the first; may be None.

        Raises:
            InputError: neither the file nor the published class gives it.
        """
        for key in keys:
            if key in self.values:
                return self.values[key]
        for key in keys:
            if key in self._defaults:
                self.note_default(keys[0])
                return self._defaults[key]
        raise self.error(keys[0], f"missing field {keys[0]!r}", "add it: its class has no default")

    def note_default(self, key: str) -> None:
        """Record that the published class, not the file, decided a field."""
        if key not in self.defaults_used:
            self.defaults_used.append(key)

    def count(self, *keys: str) -> int:
        """A whole number of at least 1."""
        value = self.raw(*keys)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self._refused(keys, value, "is not a whole number >= 1")
        return self._within(keys, value)

    def _within(self, keys: Sequence[str], value: int) -> int:
        """The count, if any machine could hold so many."""
        largest = MAX_LAYERS if set(keys) & set(_LAYER_COUNTS) else MAX_COUNT
        if value > largest:
            raise self._refused(keys, value, f"is above the largest, {largest}")
        return value

    def count_or(self, fallback: int, *keys: str) -> int:
        """A whole number, or `fallback` where the class derives it (null or absent)."""
        value = self.raw(*keys)
        if value is None:
            self.note_default(keys[0])
            return fallback
        return self.count(*keys)

    def optional(self, *keys: str) -> Any:
        """First of `keys` that the file gives and is not null, else None; never a default."""
        for key in keys:
            if self.has(key):
                return self.values[key]
        return None

    def optional_count(self, fallback: int, *keys: str) -> int:
        """A whole number of at least 1 if the file gives one, else `fallback`; never a default."""
        given = [key for key in keys if self.has(key)]
        return self.count(given[0]) if given else fallback

    def size(self, *keys: str) -> int:
        """A whole number of at least 0; null is 0."""
        value = self.raw(*keys)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._refused(keys, value, "is not a whole number >= 0")
        return self._within(keys, value)

    def flag(self, *keys: str) -> bool:
        """True or false; null is false."""
        value = self.raw(*keys)
        if value is not None and not isinstance(value, bool):
            raise self._refused(keys, value, "is not true or false")
        return bool(value)

    def text(self, *keys: str) -> str:
        """A string; null is `unknown`."""
        value = self.raw(*keys)
        if value is None:
            return "unknown"
        if not isinstance(value, str):
            raise self._refused(keys, value, "is not a string")
        return value

    def items(self, *keys: str) -> list[Any]:
        """A list of plain values (no lists or objects within); null is empty."""
        value = self.raw(*keys)
        if value is None:
            return []
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._refused(keys, value, "is not a list")
        for item in value:
            if isinstance(item, list | dict):
                raise self._refused(keys, item, "is not a plain value")
        return list(value)

    def _refused(self, keys: Sequence[str], value: object, what: str) -> InputError:
        """An error about a value, under the name that the file has for the field."""
        given = next((key for key in keys if key in self.values), keys[0])
        return self.error(given, f"{short(value)} {what}", _MEND)

    def error(self, key: str, what: str, todo: str) -> InputError:
        """An error that names file and field."""
        return InputError(f"{self.family}: {what}", todo, path=self._where(key), place=self.place)
