"""Strategies for architectures and for the `config.json` files that describe them."""

from __future__ import annotations

import copy
import math
from typing import Any

from hypothesis import strategies as st

from sim import arch
from sim.arch.load import from_config
from sim.arch.spec import Architecture
from sim.datum import read_yaml

Config = dict[str, Any]

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 1.5, 10**9, 2**31 - 1, 2**63, 10**300, "", "x", "auto",
    [], {}, [None], [{}], [[1]], [-1], ["x", "x"], math.inf, math.nan,
)  # fmt: skip
"""Values that hardly a field is made for."""


def zoo_config(name: str) -> Config:
    """The config of a model of the zoo; a fresh copy."""
    config: Config = read_yaml(f"zoo/{name}.yaml")["config"]
    return copy.deepcopy(config)


def _mixing() -> st.SearchStrategy[Config]:
    """Fields of a mixture: experts in all, and for each token."""
    return st.integers(2, 64).flatmap(
        lambda experts: st.fixed_dictionaries(
            {
                "model_type": st.just("mixtral"),
                "num_local_experts": st.just(experts),
                "num_experts_per_tok": st.integers(1, experts),
            }
        )
    )


@st.composite
def _transformer(draw: st.DrawFn) -> Config:
    """A dense or mixed decoder whose heads divide each other."""
    groups, per_group = draw(st.integers(1, 16)), draw(st.integers(1, 8))
    head_dim = draw(st.sampled_from([32, 64, 80, 128, 256]))
    family = st.sampled_from(["llama", "mistral", "qwen2"]).map(lambda kind: {"model_type": kind})
    sizes = {
        "hidden_size": groups * per_group * head_dim,
        "num_attention_heads": groups * per_group,
        "num_key_value_heads": groups,
        "num_hidden_layers": draw(st.integers(1, 64)),
        "intermediate_size": draw(st.integers(1, 65_536)),
        "vocab_size": draw(st.integers(2, 300_000)),
        "tie_word_embeddings": draw(st.booleans()),
    }
    return sizes | draw(family | _mixing())


def architectures() -> st.SearchStrategy[Architecture]:
    """Architectures: models of the zoo, and decoders of any size, dense or with experts."""
    return st.sampled_from(arch.names()).map(arch.load) | _transformer().map(from_config)


@st.composite
def config_data(draw: st.DrawFn, max_changes: int = 3) -> Config:
    """What a `config.json` may say: one of the zoo with fields of another, odd values or gaps.

    Args:
        max_changes: the largest number of changes; with 0 every config is one that is read.
    """
    config = draw(st.sampled_from(arch.names()).map(zoo_config) | _transformer())
    inner = config.get("text_config", config)
    for _ in range(draw(st.integers(0, max_changes))):
        key = draw(st.sampled_from(sorted(inner)) | st.sampled_from(_fields()))
        value = draw(st.sampled_from([*ODD, "gap"]))
        if value == "gap":
            inner.pop(key, None)
        else:
            inner[key] = copy.deepcopy(value)
        if not inner:
            break
    return config


def _fields() -> list[str]:
    """Every field that any config of the zoo has."""
    configs = [zoo_config(name) for name in arch.names()]
    return sorted({key for config in configs for key in config.get("text_config", config)})
