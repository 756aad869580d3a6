"""Failures of published clusters, predicted from the rates by cause of the Llama-3 run.

Clusters differ by more than chance: by age, by what counts as a failure, by care. So beside
the Poisson interval of the prediction stands the range that the other clusters give: the
prediction times the lowest and highest ratio of published to predicted among them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sim.datum import Datum, read_yaml, to_datum
from sim.hardware.node import load_node
from sim.scenario.jobs import failure_causes
from sim.scenario.schema.training import FailuresByCause

CLUSTERS = "training/published_clusters.yaml"
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ClusterScore:
    """Failures of a published cluster, and how many the rates by cause predict.

    Attributes:
        low, high: 95 % Poisson interval of the predicted count.
        others: lowest and highest ratio of published to predicted of the other clusters and
            of the Llama-3 run itself (1).
        shares: where only shares of causes were published: their percentages; the count is
            then someone's guess and decides nothing.
    """

    cluster: str
    published: Datum
    predicted: float
    low: float
    high: float
    others: tuple[float, float] = (1.0, 1.0)
    shares: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        """Published over predicted."""
        return self.published.value / self.predicted

    @property
    def holds(self) -> bool:
        """The published count lies in the Poisson interval."""
        return not self.shares and self.low <= self.published.value <= self.high

    @property
    def in_range(self) -> bool:
        """It lies in the range that the other clusters give."""
        return not self.shares and self.others[0] <= self.ratio <= self.others[1]

    @property
    def verdict(self) -> str:
        """In words."""
        if self.shares:
            fit = ", ".join(map(str, counts_that_fit(self.shares, 210)))
            return f"cannot tell: only shares were published, they fit {fit} ... failures"
        if self.holds:
            return "within the interval"
        return "MISS, within the range of clusters" if self.in_range else "MISS"


def counts_that_fit(shares: tuple[float, ...], most: int) -> list[int]:
    """Totals of which all these percentages are shares, to 0.1 percentage points."""

    def fits(total: int) -> bool:
        return all(abs(100 * round(s * total / 100) / total - s) < 0.1 for s in shares)

    return [n for n in range(1, most + 1) if fits(n)]


def score_clusters() -> list[ClusterScore]:
    """Every published cluster; none of them was used for the rates."""
    plain = [_score(name, row) for name, row in read_yaml(CLUSTERS).items()]
    return [_among(score, plain) for score in plain]


def _score(name: str, row: dict[str, Any]) -> ClusterScore:
    from scipy.stats import poisson

    rates = failure_causes(FailuresByCause(kind="by-cause"), row["gpus"], load_node())
    rate = sum(c.rate_per_s for c in rates if c.name in row["causes"])
    count = rate * row["days"] * DAY_S
    low, high = (float(poisson.ppf(q, count)) for q in (0.025, 0.975))
    published = to_datum(name, row["published"])
    return ClusterScore(
        name, published, count, low, high, shares=tuple(row.get("shares_percent", ()))
    )


def _among(score: ClusterScore, scores: list[ClusterScore]) -> ClusterScore:
    ratios = [s.ratio for s in scores if s.cluster != score.cluster and not s.shares]
    return replace(score, others=(min(1.0, *ratios), max(1.0, *ratios)))


def cluster_lines(scores: list[ClusterScore]) -> list[str]:
    """The table of failures, for the terminal."""
    head = (
        f"{'cluster':16} {'published':>10} {'predicted':>10} {'95 % interval':>14} "
        f"{'range of others':>16}  verdict"
    )
    lines = [head, "-" * len(head)]
    for s in scores:
        interval = f"{s.low:.0f} to {s.high:.0f}"
        wide = " to ".join(f"{s.predicted * ratio:.0f}" for ratio in s.others)
        published = "-" if s.shares else f"{s.published.value:.4g}"
        lines.append(
            f"{s.cluster:16} {published:>10} {s.predicted:10.4g} {interval:>14} {wide:>16}  "
            f"{s.verdict}"
        )
    known = [s.ratio for s in scores if not s.shares]
    lines.append(
        f"Published clusters had {min(known):.1f} to {max(known):.1f} times the failures that "
        "the Llama-3 run's rates give: that is how well another cluster can be told."
    )
    return lines


def clusters_json(scores: list[ClusterScore]) -> list[dict[str, Any]]:
    """Failures of other clusters, for machines."""
    return [
        {
            "cluster": s.cluster,
            "published": None if s.shares else s.published.value,
            "predicted": s.predicted,
            "low": s.low,
            "high": s.high,
            "others_low": s.predicted * s.others[0],
            "others_high": s.predicted * s.others[1],
            "holds": None if s.shares else s.holds,
            "in_range": None if s.shares else s.in_range,
            "verdict": s.verdict,
            "source": f"{s.published.source} ({s.published.as_of})",
        }
        for s in scores
    ]
