"""From a serving spec to a fleet: arrivals, lengths, rules, and the cost of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import simpy

from sim.cluster.serving.cell_fleet import build_cell_fleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.fidelity import fidelity_errors
from sim.cluster.serving.fleet import FleetSpec, ServingFleet
from sim.cluster.serving.fluid import FluidFleet, FluidSpec
from sim.cluster.serving.protocol import PowerFleet
from sim.hardware.node import Node
from sim.scenario.cap_costs import CapCosts
from sim.scenario.prefix_store import check_blocks, check_sessions
from sim.scenario.replica_failures import breaking
from sim.scenario.schema import ServingSpec
from sim.scenario.serving_rules import batch_rules, class_shares
from sim.scenario.serving_scale import autoscale
from sim.scenario.traffic import Traffic, traffic
from sim.signals import StepSignal
from sim.workload.arrivals import ArrivalProcess
from sim.workload.fitted import FittedArrivals


@dataclass(frozen=True, slots=True)
class Fleet:
    """A serving fleet in a running simulation, its mean rate, and the bad rows of its trace."""

    fleet: PowerFleet
    costs: CapCosts
    rate_per_s: float
    bad_rows: int

    @property
    def error_frac_against_request(self) -> dict[str, dict[str, float]]:
        """Measured error of its fidelity, by measure; empty where all replicas are simulated."""
        whole = isinstance(self.fleet, CompiledFleet)
        return {} if whole else fidelity_errors(self.costs.spec.fidelity)

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.fleet.gpus

    @property
    def chip_w(self) -> StepSignal:
        """Power of all of them."""
        return self.fleet.power_w

    @property
    def replicas(self) -> int:
        """Replicas of the fleet."""
        return self.costs.replicas

    @property
    def idle_power_w(self) -> float:
        """Chip power without a request, with the replicas that are on now."""
        on, apart_w = self._switched
        if self.costs.pools is None:
            return on * self.costs.at(None).idle_power_w + apart_w
        kinds = (self.costs.prefill, self.costs)
        each = zip(self.costs.pools, kinds, strict=True)
        return sum(count * kind.at(None).idle_power_w for count, kind in each)

    def expected_power_w(self, cap_w: float | None) -> float:
        """Mean chip power under a cap with all that arrives now (at the mean rate, if drawn).

        Of an autoscaled fleet, with the replicas that are on now.
        """
        if isinstance(self.fleet, FluidFleet):
            return self.fleet.expected_power_w(cap_w)
        on, apart_w = self._switched
        return on * self.costs.curve(cap_w).power_at_w(self.rate_per_s / on) + apart_w

    @property
    def _switched(self) -> tuple[int, float]:
        """Replicas that an autoscaler has on now, and the chip power of the others."""
        scaler = self.fleet.scaler if isinstance(self.fleet, CompiledFleet) else None
        if scaler is None:
            return self.replicas, 0.0
        cost, off = self.costs.at(None), self.replicas - scaler.ready - scaler.loading
        return scaler.ready, scaler.loading * cost.loading_power_w + off * cost.unloaded_power_w


def build_fleet(
    env: simpy.Environment,
    name: str,
    spec: ServingSpec,
    node: Node,
    horizon_s: float,
    cap_w: float | None,
    seed: int,
    *,
    tell_requests: bool = False,
    fed: Traffic | None = None,
) -> Fleet:
    """Build the fleet of a resolved spec; requests arrive until the horizon.

    Args:
        fed: what a service brings; None for the requests of the spec.
        tell_requests: whether a fleet of the compiled engine tells of single requests.

    Raises:
        InputError: a value that the fleet refuses; CapacityError if the model does not fit.
    """
    costs = CapCosts(spec, node, cap_w)
    found = fed or traffic(spec.requests)
    check_blocks(spec, found.recorded)
    check_sessions(spec, found.recorded)
    if spec.fidelity == "fluid":
        fluid = _fluid_spec(name, spec, costs, found, horizon_s)
        return Fleet(FluidFleet(env, fluid, costs.curve), costs, found.rate_per_s, found.bad_rows)
    if spec.fidelity in ("request", "cells"):
        whole_spec = _whole_spec(name, spec, costs, found, horizon_s)
        every = spec.fidelity == "request"
        least = whole_spec.replicas if every else spec.representative_replicas
        whole = build_cell_fleet(
            env,
            replace(whole_spec, tell_requests=tell_requests),
            costs.tables,
            seed,
            found.recorded,
            least,
        )
        return Fleet(whole, costs, found.rate_per_s, found.bad_rows)
    fleet_spec = _fleet_spec(name, spec, costs, found, horizon_s)
    fleet = ServingFleet(env, fleet_spec, costs.at(None), seed, found.recorded, costs.at)
    return Fleet(fleet, costs, found.rate_per_s, found.bad_rows)


def _fleet_spec(
    name: str, spec: ServingSpec, costs: CapCosts, found: Traffic, horizon_s: float
) -> FleetSpec:
    return FleetSpec(
        name=name,
        n_replicas=costs.replicas,
        simulated_replicas=spec.representative_replicas,
        arrivals=found.arrivals,
        lengths=found.lengths,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        rules=batch_rules(spec, costs.at(None)),
        router=spec.router,
        class_shares=class_shares(spec),
        failures=breaking(spec, costs.at(None)),
        sessions=found.sessions,
    )


def _whole_spec(
    name: str, spec: ServingSpec, costs: CapCosts, found: Traffic, horizon_s: float
) -> CompiledFleetSpec:
    return CompiledFleetSpec(
        name=name,
        replicas=costs.replicas,
        arrivals=found.arrivals,
        lengths=found.lengths,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        tick_s=spec.tick_s,
        autoscale=autoscale(spec, costs.at(None)),
        split=costs.split,
        rules=batch_rules(spec, costs.prefill.at(None)),
        router=spec.router,
        class_shares=class_shares(spec),
        failures=breaking(spec, costs.at(None)),
        sessions=found.sessions,
    )


def _fluid_spec(
    name: str, spec: ServingSpec, costs: CapCosts, found: Traffic, horizon_s: float
) -> FluidSpec:
    return FluidSpec(
        name=name,
        n_replicas=costs.replicas,
        gpus=costs.gpus,
        rate_per_s=_rate_course(found.arrivals),
        mean_tokens=found.mean_tokens,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        loading_power_w=costs.at(None).loading_power_w,
    )


def _rate_course(arrivals: ArrivalProcess) -> Callable[[float], float]:
    """Rate by time: the daily course where one was fitted, else the mean."""
    mean = arrivals.rate_per_s
    if not isinstance(arrivals, FittedArrivals):
        return lambda _time_s: mean
    course = arrivals.course
    return lambda time_s: mean * float(course.factor(np.array(time_s)))
