"""How a fleet's power splits over prompts, tokens and standing ready, from the cost of its steps.

The engines price whole steps, in which prompts and tokens share the weights that are read. So
the split is the cost model's, at the run's own mean lengths and mean running batch: what a
prompt's chunks add to a step of decoding sequences is prefill, the rest above the power of an
idle GPU is decode. Where prompts were read on replicas of their own, it is what each pool drew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.hardware.node import load_node
from sim.scenario.build import gpu_cap_w
from sim.scenario.replicas import replica_cost
from sim.scenario.schema import Scenario, ServingSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.cost.serving import ReplicaCost
    from sim.cost.step import StepCost

Fleet = dict[str, Any]
LEAST_J: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Split:
    """How a fleet's power is told apart.

    Args:
        standing_w: power of all its GPUs without a request; mean over the run where replicas are
            switched or break.
        prefill_frac: share of what it draws above that which prompts take.
    """

    standing_w: float
    prefill_frac: float


def serving_splits(tree: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Split]:
    """The split of each fleet that served something.

    Args:
        tree: the resolved scenario as plain data. summary: `summary.json`.
    """
    fleets = (summary.get("serving") or {"fleets": {}})["fleets"]
    served = {name for name, fleet in fleets.items() if fleet["completed"] and fleet["tokens_out"]}
    if not served:
        return {}
    scenario = Scenario.model_validate(tree)
    cap_w = gpu_cap_w(scenario.control)
    found = {}
    for site in scenario.sites:
        node = load_node(site.cluster.node)
        for spec in site.workloads:
            name = f"{site.name}.{spec.name}"
            if isinstance(spec, ServingSpec) and name in served:
                found[name] = _split(spec, replica_cost(spec, node, cap_w), fleets[name])
    return found


def _split(spec: ServingSpec, cost: ReplicaCost, fleet: Fleet) -> Split:
    if "energy_j" in fleet.get("disaggregated", {}).get("prefill", {}):
        return _told_split(cost, fleet)
    replicas = max(1, (spec.gpus or 0) // cost.gpus)
    ready = _ready(fleet, replicas)
    inputs, outputs = (fleet[key] / fleet["completed"] for key in ("tokens_in", "tokens_out"))
    tpot_s = (fleet["tpot_s"] or {"mean": 0.0})["mean"]
    running = fleet["tokens_out"] / fleet["window_s"] / max(ready, 1e-9) * tpot_s
    batch = min(max(1, round(running)), spec.max_num_seqs)
    context = round(inputs + outputs / 2)
    above_w = cost.idle_power_w
    token_j = _above_j(cost.cost([], [context] * batch), above_w) / batch
    cached = inputs * _hit_frac(spec, fleet)
    prompt_j = _prompt_j(spec, cost, (inputs, cached), [context] * batch)
    whole_j = max(prompt_j + outputs * token_j, LEAST_J)
    standing_w = ready * cost.idle_power_w + (replicas - ready) * cost.unloaded_power_w
    return Split(standing_w, prompt_j / whole_j)


def _told_split(cost: ReplicaCost, fleet: Fleet) -> Split:
    """The split of a fleet whose pools have been simulated apart: what each drew above idle."""
    told, idle_w = fleet["disaggregated"], cost.idle_power_w / cost.gpus
    pools = [told["prefill"], told["decode"]]
    above_w = [(p["mean_power_w_per_gpu"] - idle_w) * p["gpus"] for p in pools]
    standing_w = idle_w * sum(p["gpus"] for p in pools)
    return Split(standing_w, max(0.0, above_w[0]) / max(sum(above_w), LEAST_J))


def _ready(fleet: Fleet, replicas: int) -> float:
    """Replicas that hold a model, mean over the run."""
    if scaled := fleet.get("autoscaler"):
        return float(scaled["replicas_mean"])
    if broken := fleet.get("failures"):
        return replicas * float(1 - broken["replicas_down_mean"] / broken["simulated_replicas"])
    return float(replicas)


def _hit_frac(spec: ServingSpec, fleet: Fleet) -> float:
    """Share of a prompt that a prefix cache held: as counted, or as the scenario says."""
    counted = fleet.get("prefix_cache")
    return float(counted["hit_frac"]) if counted else spec.prefix_hit_frac


def _prompt_j(
    spec: ServingSpec, cost: ReplicaCost, tokens: tuple[float, float], running: list[int]
) -> float:
    """What the chunks of a mean prompt take above an idle replica.

    Args:
        tokens: of the prompt, and of them those that a prefix cache held.
    """
    inputs, cached = tokens
    beside = [] if spec.disaggregated else running
    new = max(1.0, inputs - cached)
    chunks = math.ceil(new / max(1, spec.max_num_batched_tokens - len(beside)))
    chunk = (max(1, round(new / chunks)), round(cached + (new - new / chunks) / 2))
    whole_j = _above_j(cost.cost([chunk], beside), cost.idle_power_w)
    alone_j = _above_j(cost.cost([], beside), cost.idle_power_w) if beside else 0.0
    return chunks * max(0.0, whole_j - alone_j)


def _above_j(step: StepCost, idle_w: float) -> float:
    """Energy of a step above what the replica draws anyway."""
    return max(0.0, step.energy_j - idle_w * step.time_s)
