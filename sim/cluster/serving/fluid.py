"""A fleet as a fluid of rates: for runs of days and years in which single requests do not matter.

Requests arrive at the mean rate of their process, spread evenly over the replicas; what the
replicas cannot take waits (`backlog`) and is served later, as fast as saturation allows. The
state changes at control ticks and every `step_s`, so a year costs as much as its ticks.
Latencies are not told beyond the mean time per output token: those need requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.estimate import Estimate
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.fluid_book import CurveBook
from sim.cluster.serving.steady import SteadyCurve
from sim.errors import InputError, LawViolation
from sim.signals import StepSignal
from sim.units import to_ps, to_s

STEP_S = 60.0
TOLERANCE = 1e-9
BOOK_TOLERANCE = 1e-8
"""Two sums over a year of steps, added up in different ways."""
Curves = Callable[[float | None], SteadyCurve]
"""The steady curve of a replica under a cap per GPU, None for none."""


@dataclass(frozen=True, slots=True)
class FluidSpec:
    """What a fluid fleet is.

    Attributes:
        name: prefix of its signal. n_replicas: replicas. gpus: GPUs of all of them.
        rate_per_s: time [s] -> requests per second to the whole fleet.
        mean_tokens: mean input and output tokens of a request.
        warmup_s: results leave out what was before. horizon_s: end of the run.
        loading_power_w: of a replica with power that does not serve yet; None for its idle power.
    """

    name: str
    n_replicas: int
    gpus: int
    rate_per_s: Callable[[float], float]
    mean_tokens: tuple[float, float]
    horizon_s: float
    warmup_s: float = 0.0
    step_s: float = STEP_S
    loading_power_w: float | None = None


@dataclass(slots=True)
class Ledger:
    """Requests and joules so far; arrived + received = served + shed + moved + backlog.

    `requeued` were under way when their replicas lost the power: they wait again, and what was
    done for them is done once more. `late` came while others waited: their service level is missed.
    """

    arrived: float = 0.0
    received: float = 0.0
    served: float = 0.0
    shed: float = 0.0
    moved: float = 0.0
    energy_j: float = 0.0
    waited_s: float = 0.0
    requeued: float = 0.0
    late: float = 0.0

    def since(self, before: Ledger) -> Ledger:
        """The difference to an earlier ledger."""
        return Ledger(*(getattr(self, f) - getattr(before, f) for f in self.__slots__))

    def copy(self) -> Ledger:
        """As it is now."""
        return Ledger(*(getattr(self, f) for f in self.__slots__))


class FluidFleet:
    """A fleet of equal replicas that serves a rate of requests (see `protocol.PowerFleet`).

    Args:
        curves: the steady curve of a replica under a cap.

    Attributes:
        power_w: signal, chip boundary of the whole fleet.
        backlog: requests that wait.
        ledger: counts so far. book: the same from what the replicas did, for the laws.
    """

    def __init__(self, env: Environment, spec: FluidSpec, curves: Curves):
        self.env = env
        self.spec = spec
        self.gpus = spec.gpus
        self._curves = curves
        self._curve = curves(None)
        self.backlog = 0.0
        self.ledger = Ledger()
        self.book = CurveBook(spec.loading_power_w)
        self._began_ps = int(env.now)
        self._at_warmup = Ledger()
        self._admit_frac = 1.0
        self._move_frac = 0.0
        self._received_per_s = 0.0
        self._dark_frac = self._down_frac = 0.0
        self._now_ps = int(env.now)
        self._rates = (0.0, 0.0)  # offered here, served
        self.power_w = StepSignal(f"{spec.name}.chip_w")
        self._settle()
        env.process(self._run())

    def set_cap(self, time_ps: int, cap_w: float | None) -> None:
        """Limit the power of each GPU from `time_ps` on (see `protocol`)."""
        curve = self._curves(cap_w)
        self._at(time_ps, lambda: setattr(self, "_curve", curve))

    def set_admission(self, time_ps: int, frac: float) -> None:
        """Admit a share of the arrivals from `time_ps` on (see `protocol`)."""
        self._at(time_ps, lambda: setattr(self, "_admit_frac", _share(frac)))

    def set_moved(self, time_ps: int, frac: float) -> None:
        """Hand a share of the arrivals to another fleet, which gets them by `set_received`."""
        self._at(time_ps, lambda: setattr(self, "_move_frac", _share(frac)))

    def set_received(self, time_ps: int, rate_per_s: float) -> None:
        """Requests per second that other fleets hand over from `time_ps` on."""
        if not 0 <= rate_per_s < math.inf:
            raise InputError(f"received rate {rate_per_s}, must be finite and at least 0")
        self._at(time_ps, lambda: setattr(self, "_received_per_s", rate_per_s))

    def set_power(self, time_ps: int, dark_frac: float, down_frac: float) -> None:
        """Take replicas out from `time_ps` on, or give them back.

        Args:
            dark_frac: share of the replicas without power. down_frac: share that has power and
                does not serve yet.
        """
        dark, down = _share(dark_frac), _share(down_frac)
        if dark + down > 1 + TOLERANCE:
            raise InputError(f"{dark:g} of the replicas dark and {down:g} down, more than all")
        self._at(time_ps, lambda: self._lose(dark, min(down, 1 - dark)))

    def _lose(self, dark: float, down: float) -> None:
        """Requests under way in replicas that stop wait again (Little: rate times time)."""
        before, after = self._up_frac, 1.0 - dark - down
        if after < before and before > 0:
            lost = self.under_way * (before - after) / before
            lost = min(lost, self.ledger.served)
            self.ledger.served -= lost
            self.ledger.requeued += lost
            self.backlog += lost
        self._dark_frac, self._down_frac = dark, down

    @property
    def _up_frac(self) -> float:
        return max(0.0, 1.0 - self._dark_frac - self._down_frac)

    @property
    def _up(self) -> float:
        """Replicas that serve."""
        return self.spec.n_replicas * self._up_frac

    @property
    def under_way(self) -> float:
        """Requests that decode now (Little's law: rate times output times time per token)."""
        served = self._rates[1]
        if not self._up:
            return 0.0
        return served * self.spec.mean_tokens[1] * self._curve.tpot_at_s(served / self._up)

    def offered_per_s(self) -> float:
        """Requests per second that arrive here now, before any are handed over."""
        return self.spec.rate_per_s(to_s(int(self.env.now)))

    @property
    def received_in_window(self) -> float:
        """Requests that other fleets handed over in the window so far."""
        self._advance(int(self.env.now))
        return self.ledger.since(self._at_warmup).received

    def moved(self, time_ps: int) -> float:
        """Requests handed over until a time that is not past."""
        self._advance(time_ps)
        return self.ledger.moved

    def expected_power_w(self, cap_w: float | None) -> float:
        """Chip power of the fleet under a cap if it took all its arrivals and backlog now."""
        wanted_per_s = self.offered_per_s() + self._received_per_s
        wanted_per_s += self.backlog / self.spec.step_s
        return self._power_w(self._curves(cap_w), wanted_per_s)

    @property
    def idle_power_w(self) -> float:
        """Chip power of the fleet without a request."""
        return self.spec.n_replicas * float(self._curve.power_w[0])

    def check_laws(self) -> None:
        """Requests, replicas and joules are conserved, by two books that are kept apart.

        Raises:
            LawViolation: with the counts.
        """
        self._advance(int(self.env.now))
        book = self.ledger
        came = book.arrived + book.received
        went = book.served + book.shed + book.moved + self.backlog
        if not math.isclose(came, went, rel_tol=TOLERANCE, abs_tol=1e-6):
            raise LawViolation(
                f"{self.spec.name}: {came:.6f} requests came, {went:.6f} are served, shed, moved "
                f"or waiting"
            )
        if self.backlog < 0:
            raise LawViolation(f"{self.spec.name}: backlog {self.backlog}")
        time_s = self.spec.n_replicas * to_s(self._now_ps - self._began_ps)
        for what, told, again in (
            ("served requests", book.served + book.requeued, self.book.served),
            ("joules", book.energy_j, self.book.energy_j),
            ("replica-seconds", time_s, self.book.replica_s),
        ):
            if not math.isclose(told, again, rel_tol=BOOK_TOLERANCE, abs_tol=1e-6):
                raise LawViolation(
                    f"{self.spec.name}: {told!r} {what}, but {again!r} by what its replicas did"
                )

    def result(self) -> FleetResult:
        """The fleet's figures over its window (see `protocol`)."""
        self._advance(int(self.env.now))
        end_s = min(self.spec.horizon_s, to_s(self._now_ps))
        window_s = end_s - self.spec.warmup_s
        if window_s <= 0:
            raise InputError(f"the run ended at {end_s} s, before the window began")
        book = self.ledger.since(self._at_warmup)
        inputs, outputs = self.spec.mean_tokens
        tokens_out = book.served * outputs
        return FleetResult(
            fleet=self.spec.n_replicas,
            simulated=0,
            confidence=0.95,
            window_s=window_s,
            requests=_exact(book.arrived + book.received),
            completed=_exact(book.served),
            dropped=_exact(0.0),
            shed=_exact(book.shed),
            tokens_in=_exact(book.served * inputs),
            tokens_out=_exact(tokens_out),
            energy_j=_exact(book.energy_j),
            mean_power_w=_exact(book.energy_j / window_s),
            energy_j_per_output_token=_exact(book.energy_j / tokens_out) if tokens_out else None,
            ttft_s=None,
            tpot_s=None,
            e2e_s=None,
        )

    # -- the fluid

    def _run(self) -> Generator[Event, None, None]:
        """Look at the arrivals every step; the warm-up ends on a step of its own."""
        marks = {to_ps(self.spec.warmup_s)}
        while True:
            now = int(self.env.now)
            next_ps = min([now + to_ps(self.spec.step_s), *(m for m in marks if m > now)])
            if now in marks:
                self._advance(now)
                self._at_warmup = self.ledger.copy()
            yield self.env.timeout(next_ps - now)
            self._advance(int(self.env.now))
            self._settle()

    def _at(self, time_ps: int, change: Callable[[], None]) -> None:
        delay_ps = time_ps - int(self.env.now)
        if delay_ps < 0:
            raise InputError(f"a change at {to_s(time_ps)} s is asked for after its time")
        if delay_ps == 0:
            self._change(change)
            return

        def later() -> Generator[Event, None, None]:
            yield self.env.timeout(delay_ps)
            self._change(change)

        self.env.process(later())

    def _change(self, change: Callable[[], None]) -> None:
        self._advance(int(self.env.now))
        change()
        self._settle()

    def _advance(self, now_ps: int) -> None:
        """Let the rates of the last settlement run until now."""
        span_s = to_s(now_ps - self._now_ps)
        if span_s > 0:
            offered, served = self._rates
            own = self.spec.rate_per_s(to_s(self._now_ps))
            kept = own * (1 - self._move_frac) + self._received_per_s
            book = self.ledger
            book.arrived += own * span_s
            book.moved += own * self._move_frac * span_s
            book.received += self._received_per_s * span_s
            book.shed += kept * (1 - self._admit_frac) * span_s
            book.served += served * span_s
            book.energy_j += self.power_w.value * span_s
            book.waited_s += self.backlog * span_s
            if self.backlog > served * self.spec.step_s * TOLERANCE:
                book.late += offered * span_s
            replicas = self.spec.n_replicas
            shares = (self._up, replicas * self._down_frac, replicas * self._dark_frac)
            self.book.add(self._curve, shares, served, span_s)
            self.backlog = max(0.0, self.backlog + (offered - served) * span_s)
        self._now_ps = now_ps

    def _settle(self) -> None:
        """Rates and power from now on."""
        own = self.spec.rate_per_s(to_s(self._now_ps)) * (1 - self._move_frac)
        offered = (own + self._received_per_s) * self._admit_frac
        most = self._up * self._curve.saturation_per_s
        served = min(offered + self.backlog / self.spec.step_s, most)
        self._rates = (offered, served)
        self.power_w.set(self._now_ps, self._power_w(self._curve, served))

    def _power_w(self, curve: SteadyCurve, served_per_s: float) -> float:
        """Replicas that serve, those that load their models, and none for the dark ones."""
        up, loading_w = self._up, self.spec.loading_power_w
        serving_w = up * curve.power_at_w(served_per_s / up) if up else 0.0
        down = self.spec.n_replicas * self._down_frac
        return serving_w + down * (float(curve.power_w[0]) if loading_w is None else loading_w)


def _share(frac: float) -> float:
    if not 0 <= frac <= 1:
        raise InputError(f"share {frac}, must be in [0, 1]", path="frac")
    return frac


def _exact(value: float) -> Estimate:
    return Estimate(value, None, None)
