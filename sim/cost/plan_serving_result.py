"""Fleets that a search found: their measures, the best of them, and why others lose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim.cost.layout import Layout
    from sim.cost.plan_serving_job import Objective
    from sim.cost.plan_serving_load import LoadCurve

SHARE_WORTH_NAMING: Final = 0.03
Stop = Literal["tpot", "ttft", "memory", "prompts", "largest batch"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fleet that meets the SLO.

    Attributes:
        batch: most running sequences of a replica, on average.
        most_batch: of this layout, the largest batch that meets the SLO.
        stop: what forbids a larger one.
        replicas, gpus: of the fleet; per_s: requests per second that it serves at most.
        ttft_s, tpot_s, power_w (of one GPU), j_per_token: at the load that it carries.
        tokens_per_s_per_gpu: output tokens at that load.
        usd_per_million_tokens: output tokens; None where no rent is known.
        link_share, host_share: parts of a step at that batch.
    """

    gpu: str
    calibrated: bool
    precision: str
    layout: Layout
    batch: int
    most_batch: int
    stop: Stop
    replicas: int
    gpus: int
    per_s: float
    ttft_s: float
    tpot_s: float
    power_w: float
    j_per_token: float
    tokens_per_s_per_gpu: float
    usd_per_million_tokens: float | None
    link_share: float
    host_share: float

    def value(self, objective: Objective) -> float:
        """What the objective wants small."""
        if objective == "gpus":
            return self.gpus / self.per_s
        if objective == "usd":
            return math.inf if self.usd_per_million_tokens is None else self.usd_per_million_tokens
        return self.j_per_token

    @property
    def name(self) -> str:
        """The layout in a word: `tp4 ep4 fp8`."""
        ways = [
            f"{key}{value}"
            for key, value in (
                ("tp", self.layout.tp),
                ("pp", self.layout.pp),
                ("dp", self.layout.dp),
                ("ep", self.layout.ep),
            )
            if value > 1 or key == "tp"
        ]
        return " ".join([*ways, self.precision, self.gpu])


@dataclass(frozen=True, slots=True)
class Curve:
    """A layout that fits, at all batch sizes: for the figure."""

    gpu: str
    precision: str
    layout: Layout
    curve: LoadCurve


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of a search.

    Attributes:
        candidates: every layout and batch that meets the SLO.
        curves: every layout that fits, whether or not it meets the SLO.
        rejected: why layouts were left out -> how many.
    """

    candidates: tuple[Candidate, ...]
    curves: tuple[Curve, ...]
    rejected: dict[str, int]

    def best(self, objective: Objective) -> Candidate:
        """The best by an objective."""
        return min(self.candidates, key=lambda c: _order(c, objective))

    def by_layout(self, objective: Objective) -> list[Candidate]:
        """The best batch of each layout, best first."""
        found: dict[tuple[str, str, Layout], Candidate] = {}
        for candidate in sorted(self.candidates, key=lambda c: _order(c, objective)):
            found.setdefault((candidate.gpu, candidate.precision, candidate.layout), candidate)
        return list(found.values())

    def front(self) -> list[Candidate]:
        """Fleets that no other beats or equals in all of TPOT, GPUs per request and J per token.

        Pareto's front, fastest first; of equals the first by the order of objectives.
        """
        ordered = sorted(self.candidates, key=lambda c: _order(c, "gpus"))
        values = np.array([(c.tpot_s, c.value("gpus"), c.j_per_token) for c in ordered])
        kept = [candidate for i, candidate in enumerate(ordered) if not _is_beaten(values, i)]
        return sorted(kept, key=lambda c: c.tpot_s)


def _is_beaten(values: NDArray[np.float64], i: int) -> bool:
    """Whether a row is no better anywhere than another (of equal rows, than an earlier one)."""
    no_worse = (values <= values[i]).all(axis=1)
    better = (values < values[i]).any(axis=1)
    earlier = np.arange(len(values)) < i
    return bool((no_worse & (better | earlier)).any())


def _order(candidate: Candidate, objective: Objective) -> tuple[float, ...]:
    """By the objective; ties go to fewer GPUs, less energy, smaller replicas, faster steps."""
    layout = candidate.layout
    ties = (candidate.gpus, candidate.j_per_token, layout.gpus, candidate.tpot_s)
    return (candidate.value(objective), *ties, candidate.ttft_s, layout.pp, layout.dp, layout.ep)


def why_worse(other: Candidate, best: Candidate, objective: Objective) -> str:
    """Why a layout's best batch loses against the best of all, in a line."""
    mine, theirs = other.value(objective), best.value(objective)
    if mine <= theirs * (1 + 1e-9):
        return "as good; ties go to less energy and smaller replicas"
    return "; ".join([f"{_loss(other, best, objective)}", *_causes(other, best)])


def _loss(other: Candidate, best: Candidate, objective: Objective) -> str:
    more = other.value(objective) / best.value(objective) - 1
    if objective == "gpus":
        whole = other.gpus - best.gpus
        return f"{whole} GPUs more" if whole > 0 else f"{more:.0%} more GPU time a request"
    return f"{more:.0%} more {'USD' if objective == 'usd' else 'J'} a token"


def _causes(other: Candidate, best: Candidate) -> list[str]:
    causes = []
    if other.stop in {"tpot", "ttft", "memory", "prompts"} and other.batch < best.batch:
        causes.append(f"{other.stop} stops the batch at {other.most_batch}")
    if other.link_share > best.link_share + SHARE_WORTH_NAMING:
        causes.append(f"links take {other.link_share:.0%} of a step, not {best.link_share:.0%}")
    if other.host_share > best.host_share + SHARE_WORTH_NAMING:
        causes.append(f"the host takes {other.host_share:.0%} of a step")
    if other.layout.pp > best.layout.pp:
        causes.append(f"{other.layout.pp} stages pass a batch in {other.layout.pp} parts")
    if other.precision != best.precision and other.layout == best.layout:
        causes.append(f"{other.precision} weights")
    if other.gpu != best.gpu:
        causes.append(f"on {other.gpu}")
    if not causes and other.layout.gpus > best.layout.gpus:
        causes.append("smaller matrices on each of more GPUs")
    return causes
