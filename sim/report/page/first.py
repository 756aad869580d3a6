"""The question with which the form opens, from a scenario file of the one who serves it."""

from __future__ import annotations

from sim.errors import InputError
from sim.report.page.question import NODE, Question
from sim.scenario.run import load_scenario
from sim.scenario.schema import TrainingSpec


def first_question(path: str | None) -> Question:
    """What the first site of a scenario asks, as far as the form can say it; else the default.

    Raises:
        InputError: the scenario cannot be read, or has no site of the page's servers.
    """
    if path is None:
        return Question()
    _, scenario = load_scenario(path)
    if not scenario.sites:
        raise InputError("the scenario has no site for the form", "give one with a site")
    site = scenario.sites[0]
    if site.cluster.node != NODE:
        raise InputError(f"the page knows servers of kind {NODE}", f"not {site.cluster.node}")
    workload = site.workloads[0]
    training = isinstance(workload, TrainingSpec)
    return Question(
        place=site.at.zone or f"bus {site.at.bus}",
        work="training" if training else "serving",
        gpus=site.cluster.gpus or 0,
        arch=workload.arch,
        pue=site.facility.pue_design,
        layout=workload.layout if training else None,
    )
