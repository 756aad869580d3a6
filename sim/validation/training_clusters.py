"""Failures of published clusters, predicted from the rates by cause of the Llama-3 run.

Clusters differ by more than chance: by age, by what counts as a failure, by care. So a cluster
is predicted from the rates of the Llama-3 run times a factor that the *other* clusters give, the
cluster itself left out (`training_spread`), and the intervals hold both spread and chance. Whether
they cover as often as they should is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from sim.datum import Datum, data, read_yaml, to_datum
from sim.hardware.node import load_node
from sim.scenario.jobs import FAILURES, failure_causes
from sim.scenario.schema.training import FailuresByCause
from sim.units import S_PER_H
from sim.validation.training_spread import Count, Spread, spread_of

CLUSTERS = "training/published_clusters.yaml"
DAY_S = 86_400
WIDTH: Final = 100
LEVELS: Final = (0.5, 0.8, 0.95)
"""Probabilities of the intervals; the last decides the verdict."""


@dataclass(frozen=True, slots=True)
class ClusterScore:
    """Failures of a published cluster, and how many are predicted without it.

    Attributes:
        expected: by the rates of the Llama-3 run alone.
        median: with the factor of the other clusters. limits: by level, low and high.
        shares: where only shares of causes were published: their percentages; the count is
            then someone's guess and decides nothing.
    """

    cluster: str
    published: Datum
    expected: float
    median: float
    limits: dict[float, tuple[float, float]]
    shares: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        """Published over what the Llama-3 run's rates give."""
        return self.published.value / self.expected

    def within(self, level: float) -> bool:
        """The published count lies in an interval."""
        low, high = self.limits[level]
        return not self.shares and low <= self.published.value <= high

    @property
    def holds(self) -> bool:
        """It lies in the widest of them."""
        return self.within(LEVELS[-1])

    @property
    def verdict(self) -> str:
        """In words."""
        if self.shares:
            fit = ", ".join(map(str, counts_that_fit(self.shares, 210)))
            return f"cannot tell: only shares were published, they fit {fit} ... failures"
        level = next((level for level in LEVELS if self.within(level)), None)
        return "MISS" if level is None else f"within {level:.0%}"


def counts_that_fit(shares: tuple[float, ...], most: int) -> list[int]:
    """Totals of which all these percentages are shares, to 0.1 percentage points."""

    def fits(total: int) -> bool:
        return all(abs(100 * round(s * total / 100) / total - s) < 0.1 for s in shares)

    return [n for n in range(1, most + 1) if fits(n)]


def score_clusters() -> list[ClusterScore]:
    """Every published cluster, predicted from the others."""
    return [_score(name, row) for name, row in read_yaml(CLUSTERS).items()]


def spread_without(cluster: str | None = None) -> Spread:
    """What the clusters with a published count say of a further one.

    Args:
        cluster: left out; None: all are used.
    """
    rows = {n: r for n, r in read_yaml(CLUSTERS).items() if "shares_percent" not in r}
    counts = [
        Count(to_datum(name, row["published"]).value, _expected(row))
        for name, row in rows.items()
        if name != cluster
    ]
    return spread_of([*counts, _known_run()])


def _known_run() -> Count:
    """The Llama-3 run itself, whose rates make its count."""
    figures = data(FAILURES)
    total = sum(f.value for name, f in figures.items() if name.startswith("count."))
    return Count(total, total)


def _expected(row: dict[str, Any]) -> float:
    """Failures by the rates of the Llama-3 run, of the causes that a cluster counts."""
    rates = failure_causes(FailuresByCause(kind="by-cause"), row["gpus"], load_node())
    rate = sum(c.rate_per_s for c in rates if c.name in row["causes"])
    return rate * float(row["days"]) * DAY_S


def _score(name: str, row: dict[str, Any]) -> ClusterScore:
    spread, expected = spread_without(name), _expected(row)
    return ClusterScore(
        cluster=name,
        published=to_datum(name, row["published"]),
        expected=expected,
        median=expected * spread.median,
        limits={level: spread.interval(expected, level) for level in LEVELS},
        shares=tuple(row.get("shares_percent", ())),
    )


def coverage(scores: list[ClusterScore]) -> dict[float, tuple[int, int]]:
    """By level: clusters within the interval, and how many there are."""
    known = [s for s in scores if not s.shares]
    return {level: (sum(s.within(level) for s in known), len(known)) for level in LEVELS}


def cluster_lines(scores: list[ClusterScore]) -> list[str]:
    """The table of failures, for the terminal."""
    head = (
        f"{'cluster':16} {'published':>10} {'Llama-3 rates':>14} {'median':>8} "
        f"{'80 % interval':>15} {'95 % interval':>15}  verdict"
    )
    lines = [head, "-" * len(head)]
    for s in scores:
        published = "-" if s.shares else f"{s.published.value:.4g}"
        narrow, wide = (_interval_text(s.limits[level]) for level in (0.8, 0.95))
        lines.append(
            f"{s.cluster:16} {published:>10} {s.expected:14.4g} {s.median:8.4g} "
            f"{narrow:>15} {wide:>15}  {s.verdict}"
        )
    return [*lines, *_summary_lines(scores)]


def _interval_text(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.0f} to {limits[1]:.0f}"


def _summary_lines(scores: list[ClusterScore]) -> list[str]:
    """Coverage, and what it means for a cluster of one's own."""
    told = ", ".join(
        f"{inside} of {count} in the {level:.0%} interval"
        for level, (inside, count) in coverage(scores).items()
    )
    ratios = [s.ratio for s in scores if not s.shares]
    spread = spread_without()
    causes = failure_causes(FailuresByCause(kind="by-cause"), 100_000, load_node())
    hours = 1 / sum(c.rate_per_s for c in causes) / S_PER_H
    low, high = spread.factor(0.1), spread.factor(0.9)
    told = (
        f"Leaving each out: {told}. Published over Llama-3 rates: {min(ratios):.2g} to "
        f"{max(ratios):.2g}. A further cluster has {spread.median:.2g} times the Llama-3 rates, "
        f"80 % of clusters {low:.2g} to {high:.2g} times (failures.rate_factor). 100,000 GPUs: an "
        f"interruption every {hours:.2g} h at those rates, every {hours / high:.2g} to "
        f"{hours / low:.2g} h for 80 %."
    )
    return wrap(told, WIDTH)


def clusters_json(scores: list[ClusterScore]) -> list[dict[str, Any]]:
    """Failures of other clusters, for machines."""
    return [
        {
            "cluster": s.cluster,
            "published": None if s.shares else s.published.value,
            "expected_by_llama_3_rates": s.expected,
            "predicted": s.median,
            "intervals": [
                {"level": level, "low": low, "high": high}
                for level, (low, high) in s.limits.items()
            ],
            "holds": None if s.shares else s.holds,
            "verdict": s.verdict,
            "source": f"{s.published.source} ({s.published.as_of})",
        }
        for s in scores
    ]
