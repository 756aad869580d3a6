"""Names, ids, paths, and what goes wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.arch import Architecture, families, from_config, load, names
from sim.arch.fields import defaults_file
from sim.arch.load import INDEX, _load_zoo
from sim.datum import read_yaml
from sim.errors import InputError, Place, UnknownNameError

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "head_dim": 16,
}


def _without(config: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


def test_the_zoo_is_large_and_lists_without_opening_files() -> None:
    read_yaml.cache_clear()
    assert len(names()) >= 60
    assert read_yaml.cache_info().currsize == 0


def test_loading_one_model_reads_one_file() -> None:
    read_yaml.cache_clear()
    _load_zoo.cache_clear()
    load("llama-2-7b")
    assert read_yaml.cache_info().currsize == 2  # the model, its family's class defaults


@pytest.mark.parametrize("name", names())
def test_every_zoo_entry_loads_with_its_sources(name: str) -> None:
    arch = load(name)
    assert arch.name == name == name.lower()
    assert arch.sources
    assert all("(20" in source for source in arch.sources)
    assert arch.n_layers > 0


def test_the_index_of_ids_is_current() -> None:
    ids = {arch.hugging_face.lower(): arch.name for arch in map(load, names()) if arch.hugging_face}
    assert read_yaml(INDEX) == ids


@pytest.mark.parametrize(
    "name", ["meta-llama/Llama-2-7b-hf", "meta-llama--Llama-2-7b-hf", "LLAMA-2-7B"]
)
def test_an_id_and_its_dashed_form_are_names_too(name: str) -> None:
    assert load(name) is load("llama-2-7b")


def test_every_reference_config_loads(facts: Path) -> None:
    paths = sorted((facts / "arch" / "configs").glob("*.json"))
    assert len(paths) > 50
    for path in paths:
        assert isinstance(load(str(path)), Architecture), path.name


def test_a_folder_with_a_config_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    assert load(str(folder)) == load(str(folder / "config.json"))
    assert load(str(folder)).name == "my-model"


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"llama-2-7c.*did you mean 'llama-2-7b'"):
        load("llama-2-7c")


def test_a_name_cannot_leave_the_zoo() -> None:
    for name in ("../arch/hugging_face_ids", "..", "", "no/such-id"):
        with pytest.raises(UnknownNameError):
            load(name)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: no such file"):
        load("nowhere.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "1:2: not JSON"),
        ("[1]", " not a JSON object"),
        ("\xff\xfe", "1:1: byte 0xff is not UTF-8"),
        ('{"a": 1, "a": 2}', "1:10: not JSON: key 'a' stands twice"),
        ('{"a":' * 9999, " not JSON: nested too deep"),
        (f'{{"a": {"9" * 9999}}}', " not JSON: Exceeds the limit"),
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"bad\.json:{message}"):
        load(str(path))


def test_an_unknown_family_is_an_error_with_the_file() -> None:
    with pytest.raises(UnknownNameError, match=r"x\.json: model_type: unknown model_type 'lama'"):
        from_config({**LLAMA, "model_type": "lama"}, "x", Place("x.json"))
    with pytest.raises(InputError, match="missing field 'model_type'"):
        from_config(_without(LLAMA, "model_type"), "x")


def test_a_field_without_a_class_default_is_an_error_that_names_file_and_field() -> None:
    deepseek = {**LLAMA, "model_type": "deepseek"}
    with pytest.raises(InputError, match=r"x\.json: moe_intermediate_size: .*missing field"):
        from_config({**deepseek, "n_shared_experts": 1}, "x", Place("x.json"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hidden_size", "64", "not a whole number"),
        ("hidden_size", 64.0, "not a whole number"),
        ("hidden_size", True, "not a whole number"),
        ("num_hidden_layers", 0, "not a whole number >= 1"),
        ("num_key_value_heads", 3, "not a multiple"),
        ("tie_word_embeddings", "no", "not true or false"),
        ("hidden_act", 3, "not a string"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=rf"x\.json: {key}: .*{message}"):
        from_config({**LLAMA, key: value}, "x", Place("x.json"))


def test_a_complete_config_uses_no_default() -> None:
    assert from_config(LLAMA).defaults_used == ()


@pytest.mark.parametrize(
    "key", ["tie_word_embeddings", "attention_bias", "mlp_bias", "num_key_value_heads", "head_dim"]
)
def test_a_published_default_is_listed(key: str) -> None:
    assert from_config(_without(LLAMA, key)).defaults_used == (key,)


def test_the_class_default_decides_and_can_be_overruled() -> None:
    gemma = {**LLAMA, "model_type": "gemma"}
    assert from_config(_without(gemma, "tie_word_embeddings")).tied_embeddings
    assert not from_config(gemma).tied_embeddings


def test_a_nested_text_config_is_the_model() -> None:
    arch = from_config({"model_type": "llama4", "text_config": LLAMA, "torch_dtype": "float16"})
    assert arch.family == "llama"
    assert arch.dtype == "float16"
    with pytest.raises(InputError, match="text_config"):
        from_config({"model_type": "llama4", "text_config": 3})


def test_the_outer_tie_of_a_nested_config_counts() -> None:
    inner = _without(LLAMA, "tie_word_embeddings")
    assert from_config({"text_config": inner, "tie_word_embeddings": True}).tied_embeddings


def test_every_family_with_a_class_has_sourced_defaults() -> None:
    for family in families():
        entry = read_yaml(defaults_file(family))
        assert entry["source"], family
        assert str(entry["as_of"]).startswith("20"), family


def test_the_hypothetical_model_says_so_in_every_figure() -> None:
    arch = load("gpt6-class-moe")
    assert "HYPOTHETICAL" in arch.notes
    assert all(datum.is_assumption for datum in arch.assumptions)
    config = read_yaml("zoo/gpt6-class-moe.yaml")["config"]
    assert {d.name: d.value for d in arch.assumptions}.items() <= {
        k: v for k, v in config.items() if isinstance(v, int | float)
    }.items()
    assert {d.name for d in arch.assumptions} >= {"hidden_size", "num_hidden_layers"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_size": "64"}, r"x\.json:3:18: hidden_size: llama: '64' is not a whole number"),
        ({"num_hidden_layers": 10**6}, r"x\.json:\d+:\d+: num_hidden_layers: .*above the largest"),
        ({"model_type": "lama"}, r"x\.json:2:17: model_type: unknown model_type 'lama'"),
        ({"model_type": 3}, r"x\.json:2:17: model_type: 3 is not a string"),
        ({"text_config": 3}, r"x\.json:\d+:18: text_config: not an object"),
        (
            {"text_config": {**LLAMA, "hidden_size": 0}},
            r"x\.json:\d+:20: text_config\.hidden_size: llama: 0 is not a whole number",
        ),
        (
            {"text_config": {**LLAMA, "model_type": "deepseek", "n_shared_experts": 1}},
            r"x\.json:\d+:18: text_config\.moe_intermediate_size: deepseek: missing field",
        ),
        (
            {"tie_word_embeddings": 7, "text_config": _without(LLAMA, "tie_word_embeddings")},
            r"x\.json:\d+:26: tie_word_embeddings: llama: 7 is not true or false",
        ),
    ],
)
def test_a_wrong_field_of_a_file_is_told_with_its_line(
    changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**LLAMA, **changes}, indent=2), "utf-8")
    with pytest.raises(InputError, match=told) as caught:
        load(str(path))
    line = caught.value.place.line if caught.value.place else 0
    assert caught.value.excerpt.startswith(f"{line} | ")
    assert caught.value.excerpt.endswith("^")
