"""Python use: `import sim`, and `sim.load`, `sim.run`, `sim.whatif`, `sim.sweep`, `sim.compare`.

Everything here is what the command line does, with results as Python values and frames.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.policy import parse_policies
from sim.policy.compare import compare as _compare
from sim.policy.figures import figures
from sim.report.key_figures import key_figures
from sim.report.verdict_text import answer_sentence, verdict_lines
from sim.results.store import SweepResults, open_results
from sim.scenario.canonical import to_yaml
from sim.scenario.run import RunResult, load_scenario, plain, run_scenario
from sim.scenario.schema import Scenario

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Read a scenario file and resolve it.

    Args:
        overrides: dotted path -> value, as `--set`.

    Raises:
        InputError: with file, line and path of the first fault.
    """
    return load_scenario(path, [f"{key}={value}" for key, value in (overrides or {}).items()])[1]


@dataclass(frozen=True, slots=True)
class Run:
    """A run in memory.

    Attributes:
        scenario: what was run, resolved. seed: with which seed.
        summary: the figures of `summary.json`.
    """

    scenario: Scenario
    seed: int
    summary: dict[str, Any]
    _result: RunResult

    @property
    def answer(self) -> str:
        """The verdict in one sentence."""
        return answer_sentence(self.summary)

    @property
    def figures(self) -> dict[str, float]:
        """The figures that policies and runs are compared by."""
        return figures(self.summary, self.scenario)

    def signals(self) -> pd.DataFrame:
        """Every recorded signal: columns `signal`, `time_s`, `value` (from then on)."""
        from sim.record.timeline import to_table

        return to_table(self._result.outcome.timelines).to_pandas()

    def verdicts(self) -> pd.DataFrame:
        """The readings of the grid, one row for each limit and place."""
        import pandas as pd

        return pd.DataFrame(self.summary["grid"]["verdicts"])

    def to_yaml(self) -> str:
        """The resolved scenario as a file."""
        return to_yaml(plain(self.scenario))

    def __str__(self) -> str:
        """The verdict as the command line prints it."""
        return "\n".join(verdict_lines(self.summary))

    def _repr_html_(self) -> str:
        """Question, answer, key figures and readings for notebooks; everything is escaped."""
        figures = [
            [r["name"], r["value"], r["interval"], r["unit"]] for r in key_figures(self.summary)
        ]
        readings = [
            [
                v["limit"],
                v["zone"],
                v["verdict"],
                f"{v['margin_mw']:,.0f}",
                f"{v['probability']:.2f}",
            ]
            for v in self.summary["grid"]["verdicts"]
            if v["margin_mw"] is not None
        ]
        parts = [
            f"<p>{html.escape(self.summary['question'] or self.summary['name'])}</p>",
            f"<p><strong>{html.escape(self.answer)}</strong></p>",
            _html_table(["figure", "value", "interval", "unit"], figures),
            _html_table(["limit", "place", "answer", "margin [MW]", "P(binds)"], readings),
        ]
        return "".join(parts)


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for notebooks, its cells escaped; nothing without rows."""
    if not rows:
        return ""
    left = "style='text-align:left'"
    head = "".join(f"<th {left} scope='col'>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td {left}>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def run(scenario: Scenario | str | Path, seed: int | None = None) -> Run:
    """Run a scenario, or a scenario file.

    Args:
        seed: default: the first that the scenario names.

    Raises:
        InputError: the scenario is wrong; LawViolation: a law does not hold in the run.
    """
    wanted = scenario if isinstance(scenario, Scenario) else load(scenario)
    chosen = wanted.seeds[0] if seed is None else seed
    result = run_scenario(wanted, chosen)
    return Run(wanted, chosen, result.summary, result)


def whatif(
    scenario: Scenario | str | Path, policies: Sequence[str], seeds: Sequence[int] = (1,)
) -> pd.DataFrame:
    """Policies beside their baseline: one row for each figure, one column for each policy.

    Args:
        policies: as on the command line, for example `power-cap:gpu_w=500`.
    """
    import pandas as pd

    wanted = scenario if isinstance(scenario, Scenario) else load(scenario)
    found = _compare(wanted, [parse_policies(text) for text in policies], list(seeds))
    columns = {"baseline": found["baseline"]}
    columns |= {row["label"]: row["figures"] for row in found["policies"]}
    return pd.DataFrame(columns)


def compare(*runs: Run) -> pd.DataFrame:
    """Runs side by side: one row for each figure."""
    import pandas as pd

    return pd.DataFrame({f"{r.scenario.name} {n}": r.figures for n, r in enumerate(runs)})


def sweep(path: str | Path, out: str | Path = "outputs", workers: int = 1) -> SweepResults:
    """Run a sweep file, what is finished already is not run again; returns its results.

    Raises:
        InputError: the sweep file is wrong.
    """
    from sim.sweep.expand import load_sweep
    from sim.sweep.run import local, run_sweep, serial
    from sim.sweep.work import ScenarioWork

    read = load_sweep(path)
    make = serial if workers == 1 else local(workers)
    run_sweep(read, Path(out), ScenarioWork.of(read.base), make, resume=True)
    return open_results(path, Path(out))
