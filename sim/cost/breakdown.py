"""Time, energy and binding limit of every operation of one step.

Each row of the step program becomes a program of its own, costed by the same kernels as the
whole step (`sim.cost.kernels`); the collectives, the sampling and the engine's host work are
operations too, and in a pipeline the wait for the slowest stage. So the times of all operations
add up to the step's time and their energies to its energy, exactly. Values are per GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from sim.cost.kernels import StepKernels, Work
from sim.cost.rows import kernel_rows
from sim.cost.steps import EnergyTerms

if TYPE_CHECKING:
    from sim.cost.steps import StepModel, Steps
    from sim.flops import StepProgram

Floats = NDArray[np.float64]
Limit = Literal["compute", "memory", "launch", "link", "host", "pipeline"]
ROUNDING: Final = 1e-9
LIMITS: Final[tuple[Limit, ...]] = ("compute", "memory", "launch", "link", "host", "pipeline")


@dataclass(frozen=True, slots=True)
class OperationCost:
    """One operation of a step, on one GPU.

    Attributes:
        family: kind of kernel, or `collective`, `sampling`, `host`.
        layers: invocations in the step.
        time_s, energy_j: of all invocations; the energy includes static power over the time.
            In a pipeline the time is that of one part of the batch through all stages.
        flops, hbm_bytes, link_bytes: of all invocations, FLOPs without wasted tiles.
        limit: the largest part of its time: compute, memory, launch (fixed time of a kernel
            and per unit of parallel work), link, host, or pipeline.
    """

    name: str
    family: str
    dtype: str
    layers: float
    time_s: float
    energy_j: float
    flops: float
    hbm_bytes: float
    link_bytes: float
    limit: Limit

    @property
    def power_w(self) -> float:
        """Mean power while it runs: energy over time."""
        return self.energy_j / self.time_s

    @property
    def intensity(self) -> float | None:
        """FLOPs per HBM byte; None where nothing is moved."""
        return self.flops / self.hbm_bytes if self.hbm_bytes else None


@dataclass(frozen=True, slots=True)
class StepBreakdown:
    """All operations of one step, in the model's order, and the step's totals per GPU."""

    operations: tuple[OperationCost, ...]
    time_s: float
    power_w: float
    clock_frac: float

    @property
    def energy_j(self) -> float:
        """Energy of one GPU in the step."""
        return self.power_w * self.time_s

    @property
    def flops(self) -> float:
        """Floating-point operations of one GPU, tensor and vector."""
        return sum(op.flops for op in self.operations)

    @property
    def hbm_bytes(self) -> float:
        """Bytes to and from HBM of one GPU."""
        return sum(op.hbm_bytes for op in self.operations)

    @property
    def link_bytes(self) -> float:
        """Bytes that one GPU sends."""
        return sum(op.link_bytes for op in self.operations)

    def limit_shares(self) -> dict[str, float]:
        """Share of the step's time by the limit that binds, largest first."""
        spent = {
            limit: sum(op.time_s for op in self.operations if op.limit == limit) for limit in LIMITS
        }
        ordered = sorted(spent.items(), key=lambda item: -item[1])
        return {limit: time_s / self.time_s for limit, time_s in ordered if time_s > 0}


@dataclass(frozen=True, slots=True)
class _Part:
    """An operation before its share of the energy is known."""

    name: str
    family: str
    dtype: str
    layers: float
    time_s: float
    dynamic_j: float
    flops: float
    hbm_bytes: float
    link_bytes: float
    limit: Limit


def breakdown(model: StepModel, features: Floats) -> StepBreakdown:
    """Split one step into its operations.

    Args:
        features: of the replica's batch (`StepProgram.uniform_features`), shape (n_features,).
    """
    steps = model.evaluate(features[None, :])
    clock = steps.clock_frac
    busy = float(model.kernels.micro_batches(features[None, :])[0]) / model.layout.pp
    parts = [
        part
        for row in range(model.program.n_rows)
        if (part := _kernel(model, row, features, clock, busy)) is not None
    ]
    time_s, power_w = float(steps.time_s[0]), float(steps.power_w[0])
    parts += [*_links(model, steps), *_host(model, steps, busy)]
    waited_s = time_s - sum(part.time_s for part in parts)
    if waited_s > ROUNDING * time_s:
        nothing = (0.0, 0.0, 0.0, 0.0)
        parts.append(_Part("slowest stage", "wait", "-", 1.0, waited_s, *nothing, "pipeline"))
    return StepBreakdown(
        operations=tuple(_with_energy(parts, model.node.device.static_w, time_s, power_w)),
        time_s=time_s,
        power_w=power_w,
        clock_frac=float(clock[0]),
    )


def _with_energy(
    parts: list[_Part], static_w: float, time_s: float, power_w: float
) -> list[OperationCost]:
    """Static power by time, the rest of the step's energy by what each operation spends.

    The rest is less than the sum of the parts where the power limit lowers the clock.
    """
    spent = sum(part.dynamic_j for part in parts)
    rest = (power_w - static_w) * time_s
    scale = rest / spent if spent > 0 else 0.0
    return [
        OperationCost(
            name=part.name,
            family=part.family,
            dtype=part.dtype,
            layers=part.layers,
            time_s=part.time_s,
            energy_j=static_w * part.time_s + scale * part.dynamic_j,
            flops=part.flops,
            hbm_bytes=part.hbm_bytes,
            link_bytes=part.link_bytes,
            limit=part.limit,
        )
        for part in parts
    ]


def _kernel(
    model: StepModel, row: int, features: Floats, clock: Floats, busy: float
) -> _Part | None:
    """The kernels of one row of the program; None where they are fused or do not run.

    Args:
        busy: what one GPU does of the work that the path of a part of the batch holds: parts
            of the batch over stages.
    """
    program = one_row(model.program, row)
    block = model.fp8_block
    rows = kernel_rows(program, model.layout, fp8_block=block)
    if not rows:
        return None
    kernels = StepKernels(program, model.layout, model.node.device, model.engine, fp8_block=block)
    work = kernels.evaluate(features[None, :])
    rows_s = work.rows_s(clock)
    time_s = float(work.kernel_s(rows_s)[0])
    if time_s <= 0:
        return None
    running = [
        r for r, used in zip(rows, work.memory_s[0] + work.compute_s[0], strict=True) if used
    ]
    shown = running[0] if len(running) == 1 else rows[0]
    return _Part(
        name=program.name[0],
        family=shown.family,
        dtype=shown.dtype,
        layers=float(program.layers[0]),
        time_s=time_s,
        dynamic_j=busy * float(_terms(work).energy_j(model.node.device)[0]),
        flops=_flops(model, program, features),
        hbm_bytes=busy * float(work.hbm_bytes[0]),
        link_bytes=0.0,
        limit=_limit(work, clock),
    )


def _flops(model: StepModel, program: StepProgram, features: Floats) -> float:
    """FLOPs of one GPU: of the replica's, its share (experts by the tokens that it gets)."""
    total = float((features @ program.matrices["flops"].T).sum())
    layout = model.layout
    ways = 1.0 if program.split[0] == "none" else float(layout.tp)
    if program.split[0] == "tp":
        ways = float(min(layout.tp, max(int(program.shards[0]), 1)))
    return total / (ways * layout.dp * layout.pp)


def _terms(work: Work) -> EnergyTerms:
    return EnergyTerms(
        flops=work.energy_flops,
        hbm_bytes=work.hbm_bytes,
        link_bytes=0.0,
        sampling_s=0.0,
        busy_s=work.busy_s,
    )


def _limit(work: Work, clock: Floats) -> Limit:
    compute_s = float((work.compute_s[0] / clock[0]) @ work.layers)
    memory_s = float(work.memory_s[0] @ work.layers)
    launch_s = float(work.fixed_s[0])
    if launch_s > max(compute_s, memory_s):
        return "launch"
    return "compute" if compute_s > memory_s else "memory"


def one_row(program: StepProgram, row: int) -> StepProgram:
    """The same program with one of its rows only."""
    at = slice(row, row + 1)
    return replace(
        program,
        matrices={quantity: matrix[at] for quantity, matrix in program.matrices.items()},
        name=program.name[at],
        layers=program.layers[at],
        kind=program.kind[at],
        counted=program.counted[at],
        split=program.split[at],
        shards=program.shards[at],
        cache_shards=program.cache_shards[at],
        all_reduce_width=program.all_reduce_width[at],
        n=program.n[at],
        k=program.k[at],
    )


def _links(model: StepModel, steps: Steps) -> list[_Part]:
    time_s, sent = float(steps.link_s[0]), float(steps.link_bytes[0])
    if time_s <= 0:
        return []
    dynamic_j = sent * model.node.device.link_byte_j
    return [
        _Part("collectives", "collective", "bf16", 1.0, time_s, dynamic_j, 0.0, 0.0, sent, "link")
    ]


def _host(model: StepModel, steps: Steps, busy: float) -> list[_Part]:
    """Sampling, and what the engine does between kernels."""
    sampling_j = float(steps.energy.sampling_s[0]) * model.node.device.sampling_w
    sampling_s = float(steps.energy.sampling_s[0]) / busy
    engine_s = float(steps.host_s[0]) - sampling_s
    parts = [
        _Part("sampling", "sampling", "fp32", 1.0, sampling_s, sampling_j, 0.0, 0.0, 0.0, "host"),
        _Part("engine", "host", "-", 1.0, engine_s, 0.0, 0.0, 0.0, 0.0, "host"),
    ]
    return [part for part in parts if part.time_s > 0]
