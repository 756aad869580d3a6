"""Training jobs that several sites share: all the parts are there, and they are alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sim.errors import InputError
from sim.scenario.schema import Site, TrainingSpec


@dataclass(frozen=True, slots=True)
class _Part:
    """What one site carries of a job, and where the file says so."""

    job: TrainingSpec
    node: str
    path: str


def check_parts(sites: Sequence[tuple[int, Site]]) -> None:
    """Refuse jobs of which parts are missing, left over, or unlike each other.

    A job over `regions` costs what its `count` equal parts cost together, and each site books
    its part: with a part missing, the rest would still be as fast as the whole.

    Args:
        sites: resolved sites with their number in the file.

    Raises:
        InputError: with the dotted path of the first part of the job, or of the unlike one.
    """
    jobs: dict[str, list[_Part]] = {}
    for part in _parts(sites):
        jobs.setdefault(part.job.name, []).append(part)
    for name, parts in jobs.items():
        _check_count(name, parts)
        _check_alike(name, parts)


def _parts(sites: Sequence[tuple[int, Site]]) -> Iterable[_Part]:
    for number, site in sites:
        for place, workload in enumerate(site.workloads):
            if isinstance(workload, TrainingSpec) and workload.regions:
                yield _Part(workload, site.cluster.node, f"sites[{number}].workloads[{place}]")


def _check_count(name: str, parts: Sequence[_Part]) -> None:
    for part in parts:
        count = part.job.regions.count if part.job.regions else 0
        if count != len(parts):
            carry = "1 site carries" if len(parts) == 1 else f"{len(parts)} sites carry"
            raise InputError(
                f"job {name!r} is shared by {count} sites, but {carry} it",
                f"give {count} sites a training workload named {name}, or count: {len(parts)}",
                path=f"{part.path}.regions.count",
            )


def _check_alike(name: str, parts: Sequence[_Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        for field in type(part.job).model_fields:
            if field != "gpus" and getattr(part.job, field) != getattr(first.job, field):
                raise InputError(
                    f"the parts of job {name!r} differ in {field}, but they step together",
                    f"give it as in {first.path}",
                    path=f"{part.path}.{field}",
                )
        if part.node != first.node:
            raise InputError(
                f"the parts of job {name!r} run on {part.node} and on {first.node}, but they "
                "step together",
                "give their sites the same node",
                path=f"{part.path.partition('.')[0]}.cluster.node",
            )
