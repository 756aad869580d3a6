"""Conservation laws of serving, checked by counting again.

What an observer counted event by event is compared with what the replicas hold now. None
of the terms is got by subtraction, so a lost request, block, token or joule shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Ordered

from sim.cluster.serving.observe import Integral, ServingCounter
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.sequence import Sequence
from sim.control.serving import blocks_for
from sim.errors import LawViolation
from sim.units import to_s

RELATIVE_TOLERANCE = 1e-9


def check_serving_laws(
    counter: ServingCounter,
    replicas: Ordered[ReferenceReplica],
    meters: Ordered[Integral],
    now_ps: int,
) -> None:
    """Check all laws at one instant of a run that began at time zero.

    Args:
        counter: subscribed to the hooks of exactly these replicas before the run.
        replicas: their state is read, not changed.
        meters: integral of each replica's power signal, from time zero.
        now_ps: the simulation's present time.

    Raises:
        LawViolation: names the law, the place and the numbers.
    """
    _requests(counter, replicas, now_ps)
    for replica in replicas:
        _blocks(replica, now_ps)
    _tokens(counter, replicas, now_ps)
    _time(counter, replicas, now_ps)
    _energy(counter, replicas, meters, now_ps)


def _requests(counter: ServingCounter, replicas: Ordered[ReferenceReplica], now_ps: int) -> None:
    held = len(_in_system(replicas))
    right = counter.completed + counter.dropped + held
    if counter.arrived != right:
        raise _violation(
            "requests",
            replicas[0].name,
            now_ps,
            f"{counter.arrived} arrived, but {counter.completed} completed + "
            f"{counter.dropped} dropped + {held} in the system = {right}",
        )


def _blocks(replica: ReferenceReplica, now_ps: int) -> None:
    held = sum(sequence.blocks for sequence in (*replica.running, *replica.waiting))
    total = replica.limits.total_blocks
    if replica.free_blocks < 0 or held + replica.free_blocks != total:
        raise _violation(
            "KV blocks",
            replica.name,
            now_ps,
            f"{held} held + {replica.free_blocks} free, but there are {total}",
        )
    if replica.kv_blocks.value != held:
        raise _violation(
            "KV blocks", replica.name, now_ps, f"signal {replica.kv_blocks.value:g}, held {held}"
        )
    under_way = {id(s): new for s, new in replica.step.batch} if replica.step else {}
    for sequence in replica.running:
        tokens = sequence.cached + under_way.get(id(sequence), 0)
        if sequence.blocks != blocks_for(tokens, replica.limits.block_size):
            raise _violation(
                "KV blocks",
                f"{replica.name}, request {sequence.request.request_id}",
                now_ps,
                f"{sequence.blocks} blocks for {tokens} tokens",
            )


def _tokens(counter: ServingCounter, replicas: Ordered[ReferenceReplica], now_ps: int) -> None:
    held = _in_system(replicas)
    cached = sum(sequence.cached + sequence.discarded - sequence.given for sequence in held)
    if counter.tokens_stepped != counter.tokens_cached + cached:
        raise _violation(
            "tokens",
            replicas[0].name,
            now_ps,
            f"steps computed {counter.tokens_stepped}, but completed requests cached "
            f"{counter.tokens_cached} and those in the system {cached}",
        )
    generated = sum(sequence.generated for sequence in held)
    if counter.tokens_generated != counter.tokens_out + generated:
        raise _violation(
            "tokens",
            replicas[0].name,
            now_ps,
            f"steps generated {counter.tokens_generated}, but completed requests have "
            f"{counter.tokens_out} and those in the system {generated}",
        )


def _time(counter: ServingCounter, replicas: Ordered[ReferenceReplica], now_ps: int) -> None:
    idle_ps = sum(replica.rested.idle_ps for replica in replicas)
    under_way_ps = sum(now_ps - r.step.start_ps for r in replicas if r.step)
    apart_ps = sum(replica.rested.dark_ps + replica.lost_ps for replica in replicas)
    if idle_ps + apart_ps + counter.busy_ps + under_way_ps != now_ps * len(replicas):
        raise _violation(
            "time",
            replicas[0].name,
            now_ps,
            f"{idle_ps} ps idle + {apart_ps} dark or lost + {counter.busy_ps} in steps + "
            f"{under_way_ps} under way, "
            f"but {len(replicas)} replicas had {now_ps} ps each",
        )


def _energy(
    counter: ServingCounter,
    replicas: Ordered[ReferenceReplica],
    meters: Ordered[Integral],
    now_ps: int,
) -> None:
    shared_j = counter.energy_shared_j + sum(s.paid[3] for s in _in_system(replicas))
    _equal("energy of steps", replicas[0].name, now_ps, counter.energy_stepped_j, shared_j)
    idle_j = sum(replica.idle_j + replica.dark_j for replica in replicas)
    under_way_j = sum(replica.under_way_j + replica.lost_j for replica in replicas)
    metered_j = sum(meter.at(now_ps) for meter in meters)
    _equal("energy", replicas[0].name, now_ps, metered_j, shared_j + idle_j + under_way_j)


def _equal(law: str, place: str, now_ps: int, left: float, right: float) -> None:
    if not math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12):
        raise _violation(law, place, now_ps, f"metered {left!r} J, shares and idle {right!r} J")


def _in_system(replicas: Ordered[ReferenceReplica]) -> list[Sequence]:
    return [sequence for r in replicas for sequence in (*r.running, *r.waiting)]


def _violation(law: str, place: str, now_ps: int, numbers: str) -> LawViolation:
    return LawViolation(f"law of {law} fails at {place}, t = {to_s(now_ps)} s: {numbers}")
