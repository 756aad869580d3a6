"""From proposals to orders: who gives up how much so that the site keeps to its limit.

The limits of several rules combine to the tightest. Responses are used in the given order,
each as far as needed: storage first, then generation, then slower GPUs, then work that waits,
then work that is refused. What is left over is `missed_w`: the site cannot obey, and the grid
has to take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sim.control.view import Proposal, SiteView, WorkloadView

Response = Literal[
    "battery", "generation", "cap-training", "suspend-training", "cap-serving", "shed-serving"
]
RESPONSES: Final[tuple[Response, ...]] = (
    "battery",
    "generation",
    "cap-training",
    "suspend-training",
    "cap-serving",
    "shed-serving",
)


@dataclass(frozen=True, slots=True)
class SiteOrders:
    """What a site does until the next tick.

    Attributes:
        limit_w: the tightest limit of all rules; None for none.
        caps_w: cap of each GPU of a workload, where it is capped.
        suspend: training jobs that stand still.
        admit_frac: share of the requests admitted, where it is below one.
        shift_frac: workload-independent share of requests handed to other sites.
        battery_w: discharge. generation_w: of the site's generators.
        expected_w: what the site will then take from the grid.
        missed_w: how far that lies above the limit.

    Two orders are equal if they ask for the same; what is expected of them does not count.
    """

    limit_w: float | None = None
    caps_w: Mapping[str, float | None] = field(default_factory=dict)
    suspend: frozenset[str] = frozenset()
    admit_frac: Mapping[str, float] = field(default_factory=dict)
    shift_frac: Mapping[str, float] = field(default_factory=dict)
    battery_w: float = 0.0
    generation_w: float = 0.0
    expected_w: float = field(default=0.0, compare=False)
    missed_w: float = field(default=0.0, compare=False)

    @property
    def hold_work(self) -> bool:
        """True if a workload runs slower, waits, or refuses requests."""
        return bool(self.caps_w or self.suspend or self.admit_frac or self.shift_frac)


def combine(proposals: Iterable[Proposal]) -> Proposal:
    """The tightest limit, everything that any rule suspends, the largest shift to each place.

    Shifts of several rules that come to more than all requests are cut in proportion.
    """
    limits: list[float] = []
    suspended: set[str] = set()
    shifts: dict[str, float] = {}
    for proposal in proposals:
        if proposal.limit_w is not None:
            limits.append(proposal.limit_w)
        suspended |= proposal.suspend
        for place, frac in proposal.shift_frac.items():
            shifts[place] = max(frac, shifts.get(place, 0.0))
    whole = max(1.0, sum(shifts.values()))
    shifts = {place: frac / whole for place, frac in shifts.items()} if whole > 1 else shifts
    return Proposal(min(limits) if limits else None, frozenset(suspended), shifts)


def allocate(
    view: SiteView, proposal: Proposal, order: tuple[Response, ...] = RESPONSES
) -> SiteOrders:
    """Orders that keep the site within the proposal, or as near to it as it can come.

    Args:
        order: the responses the site may use, first one first.
    """
    plan = _Plan(view, proposal)
    for response in order:
        if plan.excess_w() > 0:
            plan.use(response)
    return plan.orders()


class _Plan:
    """The orders while they are being worked out."""

    def __init__(self, view: SiteView, proposal: Proposal):
        self.view, self.proposal = view, proposal
        self.suspended = set(proposal.suspend) & {
            w.name for w in view.workloads if w.kind == "training"
        }
        self.shifted = min(1.0, sum(proposal.shift_frac.values()))
        self.rung: dict[str, int] = {}
        self.admitted: dict[str, float] = {}
        self.battery_w = 0.0
        self.generation_w = 0.0

    def excess_w(self) -> float:
        """How far the expected import lies above the limit."""
        limit_w = self.proposal.limit_w
        return 0.0 if limit_w is None else self.expected_w() - limit_w

    def expected_w(self) -> float:
        chips_w = sum(self.chip_w(w) for w in self.view.workloads)
        own_w = self.view.own_w + self.battery_w + self.generation_w
        return max(0.0, self.view.meter_w(chips_w) - own_w)

    def chip_w(self, workload: WorkloadView) -> float:
        if workload.name in self.suspended:
            return workload.idle_chip_w
        running_w = workload.chip_w_at(workload.caps_w[self.rung.get(workload.name, 0)])
        if workload.kind == "training":
            return running_w
        share = self.admitted.get(workload.name, 1.0) * (1.0 - self.shifted)
        return workload.idle_chip_w + share * (running_w - workload.idle_chip_w)

    def use(self, response: Response) -> None:
        """Use one kind of response as far as it is needed."""
        if response == "battery":
            self.battery_w = min(self.view.battery_w, self.excess_w())
        elif response == "generation":
            self.generation_w = min(self.view.generation_w, self.excess_w())
        elif response == "suspend-training":
            self._suspend()
        elif response == "shed-serving":
            self._shed()
        else:
            self._cap("training" if response == "cap-training" else "serving")

    def _running(self, kind: str) -> list[WorkloadView]:
        return [w for w in self.view.workloads if w.kind == kind and w.name not in self.suspended]

    def _cap(self, kind: str) -> None:
        """The highest rung of all workloads of the kind that keeps the limit, or the lowest."""
        workloads = self._running(kind)
        deepest = max((len(w.caps_w) for w in workloads), default=1) - 1
        for rung in range(1, deepest + 1):
            for workload in workloads:
                self.rung[workload.name] = min(rung, len(workload.caps_w) - 1)
            if self.excess_w() <= 0:
                return

    def _suspend(self) -> None:
        """Stop training jobs, the last named first, until the limit is kept."""
        for workload in reversed(self._running("training")):
            if self.excess_w() <= 0:
                return
            self.suspended.add(workload.name)
            self.rung.pop(workload.name, None)
        self._release_caps()

    def _release_caps(self) -> None:
        """With jobs stopped, those that run may need less of a cap."""
        capped = [w for w in self._running("training") if w.name in self.rung]
        while capped and all(self.rung[w.name] > 0 for w in capped):
            for workload in capped:
                self.rung[workload.name] -= 1
            if self.excess_w() > 0:
                for workload in capped:
                    self.rung[workload.name] += 1
                return

    def _shed(self) -> None:
        """Refuse the same share of every fleet's requests."""
        fleets = self._running("serving")
        slope = self.view.meter_w_per_chip_w
        running_w = sum(slope * (self.chip_w(w) - w.idle_chip_w) for w in fleets)
        if running_w <= 0:
            return
        share = max(0.0, 1.0 - self.excess_w() / running_w)
        for workload in fleets:
            self.admitted[workload.name] = share

    def orders(self) -> SiteOrders:
        view = self.view
        caps = {
            w.name: w.caps_w[self.rung[w.name]]
            for w in view.workloads
            if self.rung.get(w.name, 0) > 0
        }
        return SiteOrders(
            limit_w=self.proposal.limit_w,
            caps_w=caps,
            suspend=frozenset(self.suspended),
            admit_frac={name: share for name, share in self.admitted.items() if share < 1},
            shift_frac=dict(self.proposal.shift_frac),
            battery_w=self.battery_w,
            generation_w=self.generation_w,
            expected_w=self.expected_w(),
            missed_w=max(0.0, self.excess_w()),
        )
