"""The scenarios that the tests of policies share: a fleet, or a campus that trains and serves."""

from __future__ import annotations

from typing import Any

from sim.scenario.resolve import resolve
from sim.scenario.schema import Scenario

SHORT = {"kind": "constant", "input_tokens": 500, "output_tokens": 100}
CONVERSATIONS = {"kind": "empirical", "name": "azure-conv-2023"}


def serving(
    rate_per_s: float, lengths: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A fluid fleet of a small model."""
    requests = {"kind": "poisson", "rate_per_s": rate_per_s, "lengths": lengths or SHORT}
    return {
        "kind": "serving",
        "name": "chat",
        "arch": "llama-3.1-8b",
        "fidelity": "fluid",
        "requests": requests,
        "warmup_s": 0,
        **more,
    }


def training(tokens: float = 1e12, gpus: int = 800) -> dict[str, Any]:
    """A job of the same model."""
    return {
        "kind": "training",
        "name": "pretrain",
        "arch": "llama-3.1-8b",
        "tokens": tokens,
        "gpus": gpus,
        "layout": {"tp": 2, "zero": 1},
        "global_batch_tokens": 3_276_800,
    }


def at_one_site(
    workloads: list[dict[str, Any]], gpus: int, horizon_h: float, **more: Any
) -> Scenario:
    """A site in Virginia with these workloads, resolved."""
    site = {
        "name": "campus",
        "at": {"zone": "VA"},
        "cluster": {"gpus": gpus},
        "workloads": workloads,
    }
    tree = {
        "name": "small",
        "horizon_h": horizon_h,
        "grid": {"kind": "zonal", "samples": 8, "hosting": False},
        "sites": [site],
        **more,
    }
    return resolve(Scenario.model_validate(tree))


def fleet(horizon_h: float = 0.5) -> Scenario:
    """64 GPUs that serve."""
    return at_one_site([serving(200)], 64, horizon_h)


def campus(
    horizon_h: float = 1.0, rate_per_s: float = 3000.0, lengths: dict[str, Any] | None = None
) -> Scenario:
    """800 GPUs that train, and 800 that serve."""
    workloads = [training(1e13), serving(rate_per_s, lengths, gpus=800)]
    return at_one_site(workloads, 1600, horizon_h)


def busy_campus(horizon_h: float = 4.0) -> Scenario:
    """The campus with conversations at about 70 % of saturation."""
    return campus(horizon_h, 10_000.0, CONVERSATIONS)
