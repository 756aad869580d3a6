"""Figures of a device or a node: its own file, and what it takes from the one it is like.

A file holds sections of figures, each `{value, unit, source, as_of}`, and one head:

    device: {like: h100-sxm, calibrated: false, basis: "one sentence"}

Figures that a file does not give are those of `like`, by one rule of units (an assumption,
with a range, in every answer): a power [W] keeps its share of the power limit, an energy per
FLOP or byte the share that it takes of the limit at the peak rate, all else its value. A chip
with the same tensor peak and limit is the same chip: its power stays as it is.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sim.datum import Datum, data, read_yaml, to_datum
from sim.errors import InputError, Place, UnknownNameError
from sim.files import read_text
from sim.units import MIB

Figures = Mapping[str, Datum]
HEAD: Final = "device"
SUFFIXES: Final = (".yaml", ".yml")
NODE_SECTIONS: Final = ("node", "links", "network", "storage")
REQUIRED: Final = (
    "peak.matmul_bf16_flops",
    "peak.multiprocessors",
    "peak.hbm_bytes_per_s",
    "peak.memory_bytes",
    "power.limit_w",
)
"""What a data sheet must give; everything else can be taken over."""
POWER_RANGE_FRAC: Final = 0.3
"""Range of a power figure that is taken over: no measurement behind it."""
FRACTIONS: Final = "_frac"


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself.

    Attributes:
        like: the device or node whose figures fill the gaps; "" for none.
        calibrated: whether its times and powers were fitted on measurements of it.
        basis: where they come from, in a sentence.
    """

    like: str
    calibrated: bool
    basis: str


def is_file(name: str) -> bool:
    """Whether a `--gpu NAME_OR_FILE` is a file."""
    return name.endswith(SUFFIXES) or "/" in name


def shipped(name: str) -> tuple[Head, dict[str, Datum]]:
    """Head and own figures of a file of `sim/data/hardware`."""
    path = f"hardware/{name}.yaml"
    return _head(read_yaml(path).get(HEAD), path), dict(data(path))


def read_file(path: Path) -> tuple[Head, dict[str, Datum]]:
    """Head and own figures of a user's file.

    Raises:
        InputError: not readable, or a figure is not `{value, unit, source, as_of}`.
    """
    tree = _tree(path)
    found: dict[str, Datum] = {}
    for section, entries in tree.items():
        if section == HEAD:
            continue
        if not isinstance(entries, dict):
            raise InputError(
                f"section {section!r} holds {entries!r}", "give figures in it", path=section
            ).at(Place(str(path)))
        for name, entry in entries.items():
            found[f"{section}.{name}"] = _datum(path, f"{section}.{name}", entry)
    return _head(tree.get(HEAD), str(path)), found


def _tree(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    text = read_text(path, "a device file", MIB)
    try:
        reader = YAML(typ="safe", pure=True)
        if any(type(event).__name__ == "AliasEvent" for event in reader.parse(text)):
            raise InputError("has aliases", "write them out", place=Place(str(path)))
        tree = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        why = "".join(filter(str.isprintable, " ".join(str(error).split())))[:120]
        raise InputError(f"{path} is not YAML: {why}") from error
    if not isinstance(tree, dict) or not tree:
        raise InputError(
            f"{path} holds no figures", "`flopgrid calibrate --template` prints a file to fill"
        )
    return {str(key): value for key, value in tree.items()}


def _datum(path: Path, name: str, entry: object) -> Datum:
    if not isinstance(entry, dict):
        raise InputError(
            f"{name} is {entry!r}", "write {value: .., unit: .., source: .., as_of: ..}", path=name
        ).at(Place(str(path)))
    try:
        return to_datum(name, entry)
    except InputError as error:
        raise error.at(Place(str(path)), name) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: {error}", "give a number", path=name).at(
            Place(str(path))
        ) from error


def _head(entry: object, where: str) -> Head:
    if entry is None:
        return Head("", calibrated=True, basis="")
    if not isinstance(entry, dict) or entry.keys() - {"like", "calibrated", "basis"}:
        raise InputError(
            f"{where}: the head {HEAD!r} is {entry!r}", "give like, calibrated and basis in it"
        )
    calibrated = entry.get("calibrated", False)
    if not isinstance(calibrated, bool):
        raise InputError(f"{where}: device.calibrated is {calibrated!r}", "write true or false")
    return Head(str(entry.get("like", "")), calibrated, str(entry.get("basis", "")))


def over(own: Figures, base: Figures, like: str, *, scale: Figures | None = None) -> Figures:
    """Own figures over those of `like`, in the order of `like`.

    Args:
        own: what the file gives. base: all figures of `like`.
        scale: figures whose `power.limit_w` and peaks scale what is taken over; None: `own`.

    Raises:
        InputError: a figure that `like` does not have, in another unit, or out of range.
    """
    for name, figure in own.items():
        _check(name, figure, base, like)
    ratios = _ratios(own if scale is None else scale, base)
    return {
        name: own[name] if name in own else _taken_over(figure, like, ratios)
        for name, figure in base.items()
    }


def _check(name: str, figure: Datum, base: Figures, like: str) -> None:
    if name not in base:
        raise UnknownNameError("figure", name, base)
    unit = base[name].unit
    if figure.unit != unit:
        raise InputError(
            f"{name} is in {figure.unit!r}", f"give it in {unit!r}, as {like} does", path=name
        )
    least = 0.0 if (base[name].low or base[name].value) >= 0 else -math.inf
    if not math.isfinite(figure.value) or figure.value < least:
        raise InputError(f"{name} = {figure.value:g} {unit}", "give a number of at least 0")
    if name in REQUIRED and figure.value < sys.float_info.min:  # below it ratios overflow
        raise InputError(f"{name} = {figure.value:g} {unit}", "give a number above 0")
    if name.endswith(FRACTIONS) and figure.value > 1:
        raise InputError(f"{name} = {figure.value:g} is above 1", "a fraction is 0 to 1")


def check_complete(own: Figures, where: str) -> None:
    """Whether a device file gives what a data sheet must.

    Raises:
        InputError: names what is missing.
    """
    missing = [name for name in REQUIRED if name not in own]
    if missing:
        raise InputError(
            f"{where} lacks {', '.join(missing)}",
            "copy them from the data sheet; `flopgrid calibrate --template` shows the form",
        )


def _ratios(own: Figures, base: Figures) -> dict[str, float]:
    """By unit, what a figure that is taken over is multiplied with."""

    def ratio(name: str) -> float:
        if name not in own or name not in base:
            return 1.0
        return own[name].value / base[name].value

    limit = ratio("power.limit_w")
    if limit == 1.0 and ratio("peak.matmul_bf16_flops") == 1.0:
        return {}  # the same chip at the same limit: its power is known, whatever its memory
    return {
        "W": limit,
        "J/FLOP": limit / ratio("peak.matmul_bf16_flops"),
        "J/B": limit / ratio("peak.hbm_bytes_per_s"),
    }


def _taken_over(figure: Datum, like: str, ratios: Mapping[str, float]) -> Datum:
    of_link = figure.name.rpartition(".")[2].startswith("link_")
    ratio = 1.0 if of_link else ratios.get(figure.unit, 1.0)
    if ratio == 1.0:
        return replace(figure, source=f"as {like}: {figure.source}")
    value, spread = figure.value * ratio, abs(figure.value * ratio) * POWER_RANGE_FRAC
    return replace(
        figure,
        value=value,
        low=value - spread,
        high=value + spread,
        distribution="triangular",
        source=f"assumption: the share of the power limit that {like} has ({figure.source})",
    )
