"""A point of a sweep: what one run sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sim.scenario.canonical import digest, to_flow
from sim.scenario.yamlfile import Plain

FIGURE: Final = "figure:"
"""What a varied path starts with that sets a figure of a data file, not a scenario's field."""
POLICY: Final = "policy"
"""The varied path that names a policy."""
NO_POLICY: Final = "none"

Value = tuple[str, Plain]


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a sweep.

    Args:
        index: place in the sweep, from 0.
        values: what is set and to what: dotted paths of the scenario, `policy`, and
            `figure:FILE:NAME` for figures of the data files.
        seed: the run's seed.
        sample: number of its sample, None without samples.
    """

    index: int
    values: tuple[Value, ...]
    seed: int
    sample: int | None = None
    _key: str = field(default="", init=False, repr=False, compare=False)

    @property
    def settings(self) -> tuple[Value, ...]:
        """The dotted paths of the scenario and their values."""
        return tuple(
            (path, value)
            for path, value in self.values
            if path != POLICY and not path.startswith(FIGURE)
        )

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings as `--set` takes them: `sites[0].cluster.nodes=10`."""
        return tuple(_text(pair) for pair in self.settings)

    @property
    def policy(self) -> str:
        """The policy as `KIND:key=value`, empty for none."""
        named = dict(self.values).get(POLICY, NO_POLICY)
        return "" if named == NO_POLICY else str(named)

    @property
    def figures(self) -> dict[str, float]:
        """Figures that are set, by `FILE:NAME`."""
        return {
            path.removeprefix(FIGURE): float(value)
            for path, value in self.values
            if path.startswith(FIGURE)
        }

    @property
    def scenario_key(self) -> str:
        """What tells its scenario from others of the sweep, whatever the seed."""
        if not self._key:  # asked often, and long where much is sampled
            key = digest({"set": [_text(pair) for pair in self.values]})[:16]
            object.__setattr__(self, "_key", key)
        return self._key

    @property
    def key(self) -> str:
        """What tells this point from others of the sweep, whatever its index."""
        return f"{self.scenario_key}-{self.seed}"

    @property
    def label(self) -> str:
        """For a line on screen; where much is sampled, the number of the sample says it."""
        shown = self.values
        if self.sample is not None:
            shown = tuple(pair for pair in shown if not pair[0].startswith(FIGURE))
        number = [] if self.sample is None else [f"sample={self.sample}"]
        return " ".join([*map(_text, shown), *number, f"seed={self.seed}"])


def _text(pair: Value) -> str:
    return f"{pair[0]}={to_flow(pair[1])}"
