"""What-if: each policy beside its baseline with the same seeds, as differences.

Runs are paired: a seed gives both the same arrivals, failures and samples, so that a difference
is the policy's. With several seeds the difference comes with its interval over them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sim import __version__
from sim.errors import InputError
from sim.policy.building import billed, has_bill
from sim.policy.figures import figures
from sim.policy.patch import coupled
from sim.policy.registry import Policy, apply_all
from sim.policy.why import why_nothing
from sim.scenario.loop_checks import check_rules
from sim.scenario.resolve import resolve
from sim.scenario.run import run_id, run_scenario
from sim.scenario.schema import Scenario
from sim.scenario.simulate import Tell
from sim.scenario.summary import Json

CONFIDENCE = 0.95
Combination = tuple[Policy, ...]


def compare(
    scenario: Scenario,
    combinations: Sequence[Policy | Combination],
    seeds: int | Sequence[int],
    tell: Tell | None = None,
) -> Json:
    """Run the baseline and each policy, or combination of policies, with every seed.

    If one of them closes the loop with the grid, all runs close it; if one has a tariff, all have
    one (a flat one where nothing is said): the baseline is a twin.

    Returns:
        `{scenario: {name, hash, horizon_h, version}, baseline: figures, seeds,
        policies: [{kind, parameters, figures, delta, interval, assumes, metric, why}]}`;
        `interval` has the bounds of the difference for more than one seed; `why` says why a policy
        changed nothing, None where it did.

    Raises:
        InputError: a policy does not fit the scenario (its name is the path).
    """
    wanted = [c if isinstance(c, tuple) else (c,) for c in combinations]
    every_seed = [seeds] if isinstance(seeds, int) else list(seeds)
    given = resolve(scenario)
    scenario, patched = twins(scenario, wanted)
    before = [_run(scenario, seed, tell, "baseline") for seed in every_seed]
    rows = []
    for chosen, changed in zip(wanted, patched, strict=True):
        label = " ; ".join(p.label for p in chosen)
        after = [_run(changed, seed, tell, label) for seed in every_seed]
        rows.append(_row(chosen, changed, before, after))
    return {
        "scenario": _named(given),
        "baseline": mean_figures([f for f, _ in before]),
        "seeds": every_seed,
        "policies": rows,
    }


def _named(scenario: Scenario) -> Json:
    """What finds the scenario again: name and hash are those of its run folder."""
    found = run_id(scenario, 0)
    return {
        "name": found.scenario,
        "hash": found.hash8,
        "horizon_h": scenario.horizon_h,
        "version": __version__,
    }


def twins(
    scenario: Scenario, combinations: Sequence[Combination]
) -> tuple[Scenario, list[Scenario]]:
    """The baseline and the patched scenarios, alike in all but the policies.

    Raises:
        InputError: a policy does not fit the scenario.
    """
    patched = [resolve(apply_all(scenario, c)) for c in combinations]
    if any(p.control.coupling.kind != "none" for p in patched):
        scenario, patched = resolve(coupled(scenario)), [coupled(p) for p in patched]
    if any(has_bill(p) for p in patched):
        scenario, patched = resolve(billed(scenario)), [billed(p) for p in patched]
    for chosen, changed in zip(combinations, patched, strict=True):
        _check(chosen, changed)
    return scenario, patched


def _check(chosen: Combination, changed: Scenario) -> None:
    """What is wrong with the rules that policies add is told before the baseline runs."""
    try:
        check_rules(changed)
    except InputError as error:
        error.path = f"--policy {' ; '.join(p.label for p in chosen)}"
        raise


def _run(scenario: Scenario, seed: int, tell: Tell | None, label: str) -> tuple[Json, Json]:
    """Figures and summary of one run."""
    if tell:
        tell(f"{label}, seed {seed}")
    summary = run_scenario(scenario, seed, tell).summary
    return figures(summary, scenario), summary


def _row(
    chosen: Combination,
    scenario: Scenario,
    before: list[tuple[Json, Json]],
    after: list[tuple[Json, Json]],
) -> Json:
    differences = [difference(a, b) for (a, _), (b, _) in zip(after, before, strict=True)]
    delta, interval = _means(differences)
    only = chosen[0] if len(chosen) == 1 else None
    return {
        "kind": " + ".join(p.kind.kind for p in chosen),
        "label": " ; ".join(p.label for p in chosen),
        "parameters": dict(only.parameters)
        if only
        else {p.label: dict(p.parameters) for p in chosen},
        "figures": mean_figures([f for f, _ in after]),
        "delta": delta,
        "interval": interval,
        "metric": chosen[0].kind.metric,
        "assumes": list(dict.fromkeys(line for p in chosen for line in p.kind.assumes)),
        "why": None if any(delta.values()) else why_nothing(chosen, scenario, after[0][1]),
    }


def difference(changed: Json, baseline: Json) -> dict[str, Any]:
    """Changed - baseline of every figure that both have as a number."""
    return {
        key: changed[key] - value
        for key, value in baseline.items()
        if isinstance(value, int | float) and isinstance(changed.get(key), int | float)
    }


def mean_figures(rows: Sequence[Json]) -> Json:
    """Mean of each figure that all rows have as a number; else that of the first."""
    return {
        key: math.fsum(row[key] for row in rows) / len(rows) if _all_numbers(rows, key) else value
        for key, value in rows[0].items()
    }


def _all_numbers(rows: Sequence[Json], key: str) -> bool:
    return len(rows) > 1 and all(isinstance(row.get(key), int | float) for row in rows)


def _means(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Mean difference of each figure, and its Student interval where there are several seeds."""
    keys = [key for key in rows[0] if all(key in row for row in rows)]
    means = {key: mean_of(row[key] for row in rows) for key in keys}
    if len(rows) == 1:
        return means, {}
    from scipy.stats import t

    factor = float(t.ppf(0.5 + CONFIDENCE / 2, len(rows) - 1)) / math.sqrt(len(rows))
    bounds = {}
    for key, mean in means.items():
        variance = math.fsum((row[key] - mean) ** 2 for row in rows) / (len(rows) - 1)
        half = factor * math.sqrt(variance)
        bounds[key] = [mean - half, mean + half]
    return means, bounds


def mean_of(values: Iterable[float]) -> float:
    """Mean of at least one value; one alone is returned as it is."""
    found = list(values)
    return found[0] if len(found) == 1 else math.fsum(found) / len(found)
