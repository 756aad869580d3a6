"""What a point of a sweep runs: a scenario, patched, simulated, written to its folder.

The base file is read once; a `Work` travels to worker processes whole, so a worker needs
neither the files of the user nor the network to find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim import __version__
from sim.datum import Datum, data, data_file, data_hash, figures_set, split_key
from sim.errors import InputError, Place
from sim.policy.patch import coupled
from sim.policy.registry import apply_all, parse_policies
from sim.record.store import RunFolder
from sim.scenario.again import with_figures
from sim.scenario.canonical import digest
from sim.scenario.load import Document, load_tree, validate
from sim.scenario.naming import is_own, run_hash
from sim.scenario.override import Override, apply_override, parse_path
from sim.scenario.paths import with_paths
from sim.scenario.resolve import resolve
from sim.scenario.run import (
    RunResult,
    data_used,
    located,
    plain,
    run_to_folder,
)
from sim.scenario.schema import Scenario
from sim.scenario.yamlfile import Node, Plain
from sim.sweep.identity import Identity
from sim.sweep.point import FIGURE, Point

Decorate = Callable[[RunFolder, RunResult], None]


@dataclass(frozen=True, slots=True)
class ScenarioWork:
    """Runs scenarios.

    Args:
        document: the base scenario's file and its parents, read.
        decorate: draws figures into a run folder; None leaves them out.
        twin: some policy of the sweep closes the loop with the grid, so all runs close it, and
            the difference that a policy makes is the policy's own.
    """

    document: Document
    decorate: Decorate | None = None
    twin: bool = False

    @classmethod
    def of(
        cls, base: Path, decorate: Decorate | None = None, points: Iterable[Point] = ()
    ) -> ScenarioWork:
        """From a scenario file, for the points of a sweep.

        Raises:
            InputError: the file cannot be read.
        """
        work = cls(load_tree(base), decorate)
        first = {point.policy: point for point in reversed(list(points)) if point.policy}
        return replace(work, twin=any(work._closes_loop(point) for point in first.values()))

    def _closes_loop(self, point: Point) -> bool:
        try:
            return self.scenario(point)[1].control.coupling.kind != "none"
        except InputError:
            return False  # it will be recorded as a failure of its own

    def scenario(self, point: Point) -> tuple[Document, Scenario]:
        """The resolved scenario of a point, policy applied.

        Raises:
            InputError: it does not resolve, or the policy does not fit.
        """
        root = self.document.root
        for path, value in point.settings:
            place = Place(f"--set {path}")
            override = Override(parse_path(path), node_of(value, place), place)
            root = apply_override(root, override)
        document = replace(self.document, root=root)
        checked = validate(document, Scenario)
        with located(document):
            scenario = resolve(with_paths(document, checked))
            if point.policy:
                scenario = resolve(apply_all(scenario, parse_policies(point.policy)))
        if self.twin and scenario.control.coupling.kind == "none":
            scenario = resolve(coupled(scenario))
        return document, scenario

    def identify(self, point: Point) -> Identity:
        """What the point would run as.

        Raises:
            InputError: it does not resolve, or sets a figure that it does not read.
        """
        with figures_set(point.figures):
            _, scenario = self.scenario(point)
            files = data_used(scenario)
            name = run_hash(plain(scenario), files)  # as `run_id`, which asks again
        for key in point.figures:
            if split_key(key)[0] not in files:
                raise InputError(f"{FIGURE}{key}: this scenario does not read it", "leave it out")
        own = {split_key(key)[0] for key in point.figures}
        unset = files | {path: data_hash(path) for path in own}
        parts = {
            "scenario": digest({k: v for k, v in plain(scenario).items() if k != "seeds"}),
            "data": digest(unset),
            "figures": digest(point.figures),
            "version": __version__,
        }
        return Identity(scenario.name, name, parts, unset)

    def run(self, point: Point, out: Path) -> Path:
        """Simulate, and write the folder.

        Raises:
            InputError: it cannot be built or written.
            LawViolation: a law does not hold in it.
        """
        options = [word for text in point.overrides for word in ("--set", text)]
        with figures_set(point.figures):
            document, scenario = self.scenario(point)
            command = ["run", self.document.root.place.file, *options, "--seed", str(point.seed)]
            with located(document):
                finish = with_figures(point.figures, self.decorate)
                folder, _ = run_to_folder(scenario, point.seed, out, command, finish)
        return folder

    def assumed(self, point: Point) -> dict[str, Datum]:
        """The figures with a range that the scenario of a point reads, by `FILE:NAME`.

        Figures of the model zoo are left out: a model's sizes only make sense together.
        """
        _, scenario = self.scenario(point)
        return {
            f"{path}:{name}": figure
            for path in data_used(scenario)
            if path.endswith(".yaml") and not path.startswith("zoo/") and data_file(path).is_file()
            for name, figure in data(path).items()
            if figure.low is not None and figure.low != figure.high
        }

    def base_plain(self, point: Point) -> dict[str, Any]:
        """The resolved scenario of a point as plain data."""
        with figures_set(point.figures):
            return plain(self.scenario(point)[1])


def node_of(value: Plain, place: Place) -> Node:
    """Plain data as a tree whose nodes all stand at one place."""
    if isinstance(value, dict):
        children = {str(key): node_of(child, place) for key, child in value.items()}
        return Node(children, place, dict.fromkeys(children, place))
    if isinstance(value, list | tuple):
        return Node([node_of(child, place) for child in value], place)
    return Node(value, place)


def user_files(files: Mapping[str, str]) -> dict[str, str]:
    """Of the files that a run reads, those that are the user's own: traces, architectures."""
    return {path: told for path, told in files.items() if is_own(path)}
