"""From a name, an id or a `config.json` to an `Architecture`.

The zoo is one YAML file per model under `sim/data/zoo`, named after the model; its
`config:` is in Hugging Face form, so one reader serves both. Loading one reads one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from sim.arch import readers  # noqa: F401  (registers the readers)
from sim.arch.blocks import MoE
from sim.arch.fields import Fields, short
from sim.arch.registry import find_reader
from sim.arch.spec import Architecture, Layer, grouped
from sim.datum import data_names, read_yaml, to_datum
from sim.errors import InputError, Place, UnknownNameError, excerpt
from sim.files import is_file, is_folder, parse_json, read_text
from sim.json_places import value_place

ZOO = "zoo"
INDEX = "arch/hugging_face_ids.yaml"
TEXT = "text_config"
OUTER = ("model_type", "tie_word_embeddings")


def names() -> list[str]:
    """Names in the zoo (no file is opened)."""
    return data_names(ZOO, ".yaml")


def load(name_or_path: str) -> Architecture:
    """A zoo name, a Hugging Face id (also with `--` for `/`), or a path to a `config.json`.

    Raises:
        UnknownNameError: no such name.
        InputError: the file cannot be read, its family is unknown, or a field is missing.
    """
    path = Path(name_or_path)
    if is_folder(path) and is_file(path / "config.json"):
        path = path / "config.json"
    if path.suffix == ".json" or is_file(path):
        return _load_file(path)
    name = _zoo_name(name_or_path)
    if name is None:
        raise UnknownNameError("architecture", name_or_path, names())
    return _load_zoo(name)


def _zoo_name(name: str) -> str | None:
    if "/" not in name and "--" not in name:
        candidate = name.lower()
        return candidate if candidate in names() else None
    ids: dict[str, str] = read_yaml(INDEX)
    return ids.get(name.replace("--", "/", 1).lower())


@cache
def _load_zoo(name: str) -> Architecture:
    path = f"{ZOO}/{name}.yaml"
    entry = read_yaml(path)
    arch = from_config(entry["config"], name, Place(f"sim/data/{path}"))
    figures: Mapping[str, Any] = entry.get("assumptions", {})
    return replace(
        arch,
        sources=tuple(f"{source} ({entry['as_of']})" for source in entry["sources"]),
        assumptions=tuple(to_datum(key, value) for key, value in figures.items()),
        notes=" ".join(filter(None, [entry.get("notes", ""), arch.notes])),
        hugging_face=entry.get("hugging_face", ""),
    )


def _load_file(path: Path) -> Architecture:
    place = Place(str(path))
    text = read_text(path, "a config.json")
    config = parse_json(text, place)
    if not isinstance(config, dict):
        raise InputError("not a JSON object", "give a model's config.json", place=place)
    is_plain = path.name == "config.json" and path.resolve().parent.name
    try:
        return from_config(config, path.resolve().parent.name if is_plain else path.stem, place)
    except InputError as error:
        raise _located(error, text, place) from error.__cause__


def _located(error: InputError, text: str, place: Place) -> InputError:
    """The same error with line, column and excerpt, where it names a field of the file."""
    if error.path and error.place == place:
        error.place = value_place(text, place, error.path)
    if error.place is not None and error.place.line:
        error.excerpt = excerpt(text.split("\n")[error.place.line - 1], error.place)
    return error


def from_config(
    config: Mapping[str, Any], name: str = "config", place: Place | None = None
) -> Architecture:
    """Read a config in Hugging Face form.

    Args:
        config: the parsed `config.json`; a nested `text_config` is the language model.
        name: name of the result.
        place: the file, for messages.

    Raises:
        InputError: unknown family, or a missing or wrong field; names file and field.
    """
    inner, where = _text_part(config, place)
    family = inner.get("model_type")
    if not isinstance(family, str):
        what = f"{short(family)} is not a string" if family else "missing field 'model_type'"
        raise InputError(what, "add it", path=where("model_type"), place=place)
    try:
        read_family = find_reader(family)
    except UnknownNameError as error:
        error.path = where("model_type")
        raise error.at(place) from None
    fields = Fields(family, inner, place, where)
    found = read_family(fields)
    _check_experts(found.layers, fields)
    return Architecture(
        name=name,
        family=family,
        hidden=found.hidden,
        vocab=found.vocab,
        layers=grouped(found.layers),
        tied_embeddings=found.tied_embeddings,
        outer_norms=found.outer_norms,
        norm=found.norm,
        position=found.position,
        activation=found.activation,
        max_context=found.max_context,
        dtype=_dtype(inner, config),
        positions=found.positions,
        head_bias=found.head_bias,
        defaults_used=tuple(sorted(fields.defaults_used)),
        notes=found.notes,
    )


def _check_experts(layers: list[Layer], fields: Fields) -> None:
    for layer in layers:
        for block in layer.blocks:
            if isinstance(block, MoE) and block.top_k > block.n_experts:
                raise fields.error(
                    "num_experts_per_tok",
                    f"{block.top_k} experts per token of only {block.n_experts}",
                    "mend it",
                )


def _text_part(
    config: Mapping[str, Any], place: Place | None
) -> tuple[Mapping[str, Any], Callable[[str], str]]:
    """The language model inside a multimodal config; a few outer fields count, too.

    Returns:
        its fields, and the path in the file of each.
    """
    text = config.get(TEXT)
    if text is None:
        return config, str
    if not isinstance(text, Mapping):
        raise InputError("not an object", "mend it", path=TEXT, place=place)
    outer = {key: config[key] for key in OUTER if key in config}
    apart = outer.keys() - text.keys()
    return {**outer, **text}, lambda key: key if key in apart else f"{TEXT}.{key}"


def _dtype(*configs: Mapping[str, Any]) -> str:
    for config in configs:
        for key in ("torch_dtype", "dtype"):
            if isinstance(config.get(key), str):
                return str(config[key])
    return "bfloat16"
