"""What-if: each policy beside its baseline, same seed, as differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.errors import InputError
from sim.policy.registry import Policy
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Scenario
from sim.scenario.simulate import Tell
from sim.scenario.summary import Json
from sim.units import J_PER_MWH, MEGA


def compare(
    scenario: Scenario, policies: Sequence[Policy], seed: int, tell: Tell | None = None
) -> Json:
    """Run the baseline and each policy.

    Returns:
        `{baseline: figures, policies: [{kind, parameters, figures, delta, assumes}]}`.

    Raises:
        InputError: a policy does not fit the scenario (its name is the path).
    """
    baseline = figures(run_scenario(scenario, seed, tell).summary)
    rows = []
    for policy in policies:
        if tell:
            tell(f"policy {policy.label}")
        try:
            patched = resolve(policy.apply(scenario))
            changed = figures(run_scenario(patched, seed, tell).summary)
        except InputError as error:
            error.path = f"--policy {policy.label}" + (f": {error.path}" if error.path else "")
            raise
        rows.append(
            {
                "kind": policy.kind.kind,
                "parameters": dict(policy.parameters),
                "figures": changed,
                "delta": difference(changed, baseline),
                "assumes": list(policy.kind.assumes),
            }
        )
    return {"baseline": baseline, "policies": rows}


def figures(summary: Json) -> Json:
    """The figures of a run that policies are compared by."""
    sites = summary["sites"].values()
    found: Json = {
        "gpus": sum(s["gpus"] for s in sites),
        "zones": len({s["zone"] for s in sites}),
        "peak_load_mw": sum(s["peak_load_mw"] for s in sites),
        "largest_site_mw": max(s["peak_load_mw"] for s in sites),
        "mean_load_mw": summary["power_w"]["facility"]["mean"] / MEGA,
        "energy_mwh": summary["energy_j"]["facility"] / J_PER_MWH,
        "unserved_mw": summary["grid"]["unserved_mw"],
        "limits_binding": sum(v["verdict"] == "binds" for v in summary["grid"]["verdicts"]),
        "limits_indeterminate": sum(
            v["verdict"] == "indeterminate" for v in summary["grid"]["verdicts"]
        ),
    }
    for limit, margin in least_margins(summary).items():
        found[f"margin_{limit}_mw"] = margin
    if training := summary.get("training"):
        found |= {
            "training_tokens": training["tokens"],
            "training_mfu": training["mfu"],
            "days_to_finish": max(j["days_to_finish"] for j in training["jobs"].values()),
        }
    if serving := summary.get("serving"):
        energy = serving["energy_j_per_output_token"]
        found |= {
            "requests_completed": serving["completed"],
            "output_tokens": serving["tokens_out"],
            "energy_j_per_output_token": energy["facility"] if energy else None,
        }
        if latency := serving.get("ttft_s"):
            found["ttft_p99_s"] = latency["p99"]
    return found


def least_margins(summary: Json) -> dict[str, float]:
    """The least margin of each assessed limit over all zones, MW."""
    least: dict[str, float] = {}
    for verdict in summary["grid"]["verdicts"]:
        if verdict["margin_mw"] is not None:
            limit = verdict["limit"]
            least[limit] = min(least.get(limit, float("inf")), verdict["margin_mw"])
    return least


def difference(changed: Json, baseline: Json) -> dict[str, Any]:
    """Changed - baseline of every figure that both have as a number."""
    return {
        key: changed[key] - value
        for key, value in baseline.items()
        if isinstance(value, int | float) and isinstance(changed.get(key), int | float)
    }
