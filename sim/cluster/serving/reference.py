"""The reference replica: continuous batching, step by step. The specification.

Whatever is faster must give the same requests the same times. The rules are numbered in
`sim.control.serving`, the order of events at one instant is in `clock`, the division of a
step among its requests in `request_cost`.

Time is a whole number of picoseconds. A step lasts `max(1, round(time_s * 1e12))`, half
to even; its power is its energy over that time, so that the power signal integrates to the
energy. When no step runs, the replica draws its idle power.

What it imitates:

- `chunked-prefill`: the scheduler of vLLM's V1 engine, first come first served
  (`vllm/v1/core/sched/scheduler.py`, `Scheduler.schedule`, as of v0.10.2 and with the later
  settings `scheduler_reserve_full_isl=True` and `watermark`): running requests first, in
  order of admission; decodes and chunks share one token budget; the newest is preempted and
  recomputed when blocks run out; no admission in a step that preempted; a waiting request
  enters when its whole prompt would fit. Defaults (8,192 tokens, 1,024 sequences, blocks of
  16 tokens) are those of its API server on an 80 GB Hopper GPU.
- `prefill-priority`: the V0 engine without chunking (`vllm/core/scheduler.py`,
  `Scheduler._schedule_default`, as of v0.9): whole prompts first and alone in their step,
  decodes only when no prompt can enter; watermark of 1 % of the blocks.

Where it differs from vLLM:

- output lengths are known, and used for one purpose: a request that can never fit is
  dropped on arrival (rule 5). vLLM caps all requests by `max_model_len` instead;
- the watermark also holds when nothing runs, in both modes;
- no speculative or structured decoding, LoRA, or pipelined (asynchronous) scheduling: a
  step is planned when the last has ended;
- `long_prefill_token_threshold` is off; one request is in partial prefill at most;
- V0's block manager asks for a spare block for each sequence in some versions; here not;
- tokenising, detokenising and the network take no time here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from simpy import Environment, Interrupt
from simpy.events import Event

from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.coster import StepCoster
from sim.cluster.serving.prefix_blocks import PrefixBlocks
from sim.cluster.serving.records import (
    DropRecord,
    RequestEvent,
    ServingEvents,
    StepRecord,
    UnfinishedRecord,
)
from sim.cluster.serving.request_cost import own_prices
from sim.cluster.serving.rest import Rest, Rested
from sim.cluster.serving.sequence import Extra, Handed, Sequence, Step, begin_step, new_sequence
from sim.control.serving import (
    BATCHERS,
    BatchRules,
    StepPlan,
    blocks_for,
    drop_reason,
    over_queue,
    replica_limits,
)
from sim.signals import StepSignal
from sim.units import to_ps, to_s
from sim.workload.requests import Request

QUEUE_FULL = "queue-full"


class ReferenceReplica:
    """One model instance that serves requests.

    Args:
        env: the simulation; its clock counts picoseconds.
        name: prefix of its signals.
        index: its number among its peers.
        coster: what a step costs.
        rules: how steps are formed.
        events: hooks to tell; may be shared with other replicas.

    Attributes:
        power_w: signal, chip boundary.
        running_requests, waiting_requests, kv_blocks: signals.
        running, waiting: sequences, oldest first.
        free_blocks: cache blocks nobody holds.
        swapped_blocks: blocks moved to and from the host so far.
        broken: whether it has failed and is not back.
        lost_j, lost_ps: energy and time of steps that a failure cut off.
        step: the step under way, or None.

    Raises:
        CapacityError: no request fits.
    """

    def __init__(
        self,
        env: Environment,
        name: str,
        index: int,
        coster: StepCoster,
        rules: BatchRules,
        events: ServingEvents,
    ):
        self.env = env
        self.name = name
        self.index = index
        self.coster = coster
        self.events = events
        self.limits = replica_limits(rules, coster.kv_capacity_tokens, coster.max_sequences)
        self.running: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        self.free_blocks = self.limits.total_blocks
        self.swapped_blocks = 0
        self._prefixes = PrefixBlocks(rules)
        self.step: Step | None = None
        now_ps = int(env.now)
        self.power_w = StepSignal(f"{name}.chip_w", coster.idle_power_w, now_ps)
        self.running_requests = StepSignal(f"{name}.running_requests", 0, now_ps)
        self.waiting_requests = StepSignal(f"{name}.waiting_requests", 0, now_ps)
        self.kv_blocks = StepSignal(f"{name}.kv_blocks", 0, now_ps)
        self.rules = rules
        self._swaps = rules.preemption == "swap"
        self._batcher = BATCHERS[rules.batcher]
        self._own = own_prices(coster)
        self._draining = self.broken = False
        self.lost_j, self.lost_ps = 0.0, 0
        self._rested = Rest()
        self._wake: Event | None = None
        self._process = env.process(self.serve_requests())

    @property
    def load(self) -> int:
        """Requests waiting or running."""
        return len(self.running) + len(self.waiting)

    @property
    def rested(self) -> Rested:
        """Time without a step so far."""
        return self._rested.until(int(self.env.now))

    @property
    def dark(self) -> bool:
        """Whether it is off, broken or loads its model."""
        return self._rested.dark

    @property
    def idle_j(self) -> float:
        """Energy without a step so far with the model loaded, chip boundary."""
        return self.coster.idle_power_w * to_s(self.rested.idle_ps)

    @property
    def dark_j(self) -> float:
        """Energy without a model so far, and while it was loaded."""
        return self.rested.dark_j(self.coster)

    @property
    def under_way_j(self) -> float:
        """Energy so far of the step under way, not yet in any request's share."""
        if self.step is None:
            return 0.0
        return self.step.power_w * to_s(int(self.env.now) - self.step.start_ps)

    def set_coster(self, coster: StepCoster) -> None:
        """Change what a step costs, from the next step on (a cap or clock changed).

        The cache keeps its size: weights and blocks stay where they are.
        """
        self.coster = coster
        self._own = own_prices(coster)

    def unfinished(self) -> list[UnfinishedRecord]:
        """Requests in the system, oldest first."""
        return [s.unfinished(self.index) for s in (*self.running, *self.waiting)]

    @property
    def cached_tokens(self) -> int:
        """Tokens that the running requests have in the cache."""
        return sum(sequence.cached for sequence in self.running)

    def submit(self, request: Request, handed: Handed | None = None) -> None:
        """Take a request, or refuse it (rules 5 and 12)."""
        self.events.arrived.emit(self._event(request))
        sequence = self._new(request, handed)
        reason = self._refusal(sequence)
        if reason:
            self.events.dropped.emit(DropRecord(request, self.index, int(self.env.now), reason))
            return
        if not self.broken:
            self._prefixes.use(request)
        self.take(sequence)

    def _new(self, request: Request, handed: Handed | None) -> Sequence:
        return new_sequence(request, handed, 0 if self.broken else self._prefixes.tokens(request))

    def to_read_tokens(self, request: Request, handed: Handed | None = None) -> int:
        """Prompt tokens that would be read before a request's first: what waits, and its own."""
        new = self._new(request, handed)
        return self._queued_tokens + new.target - new.cached

    @property
    def _queued_tokens(self) -> int:
        return sum(sequence.target - sequence.cached for sequence in self.waiting)

    def _refusal(self, new: Sequence) -> str | None:
        request = new.request
        reason = drop_reason(request.input_tokens, request.output_tokens, self.limits)
        if reason:
            return reason
        rule = self.rules.classes[request.priority]
        return (
            QUEUE_FULL if over_queue(self._queued_tokens, new.target - new.cached, rule) else None
        )

    def _enqueue(self, sequence: Sequence, *, first: bool) -> None:
        """Put a sequence at the head or the end of its class's queue (rule 11)."""
        own = sequence.request.priority
        ahead = sum(other.request.priority < own + (not first) for other in self.waiting)
        self.waiting.insert(ahead, sequence)

    def serve_requests(self) -> Generator[Event, None, None]:
        """Step while there is work, sleep until the next request otherwise."""
        while True:
            if not self.load or self.broken:
                yield self._sleep()
                self._awake()
            yield At(self.env, Phase.STEP_BEGIN)
            if not self.load or self.broken:
                continue  # it failed at this instant
            step = self.step = self._begin_step()
            try:
                yield At(self.env, Phase.STEP_END, step.duration_ps)
            except Interrupt:
                continue  # it failed in the middle of the step
            if self.step is step:
                self._end_step(step)
                self.step = None

    def _sleep(self) -> Event:
        self._rest(dark=self.dark or self._draining, loading=self._rested.loading)
        self._wake = self.env.event()
        return self._wake

    def _awake(self) -> None:
        self._rested.end(int(self.env.now))
        self._wake = None

    def _rest(self, *, dark: bool, loading: bool = False) -> None:
        """No step runs from now on; the replica is idle, or dark (off, broken, loading)."""
        now_ps = int(self.env.now)
        self._rested.begin(now_ps, dark=dark, loading=loading)
        self.power_w.set(now_ps, self._rested.power_w(self.coster))

    def fail(self) -> list[Sequence]:
        """Break down (rule 14): a step under way is lost, and so is the cache; its requests."""
        now_ps, step = int(self.env.now), self.step
        if step is not None:
            if step.start_ps + step.duration_ps == now_ps:
                self._end_step(step)  # it ended just before
            else:
                self.lost_j += self.under_way_j
                self.lost_ps += now_ps - step.start_ps
                self._process.interrupt()
        self.step = None
        for sequence in self.running:
            self.free_blocks += sequence.lose_cache()
        self.broken = True
        self._rest(dark=True)
        return self.give_up()

    def give_up(self) -> list[Sequence]:
        """Its requests, elsewhere from now on: running ones by admission, then waiting ones."""
        for sequence in self.waiting:
            sequence.return_given()
        held = [*self.running, *self.waiting]
        self.running, self.waiting = [], deque()
        self._publish()
        return held

    def drain(self) -> None:
        """Go dark as soon as no request is left."""
        self._draining = True
        self.load_model(begin=False)

    def load_model(self, *, begin: bool = True) -> None:
        """Read the model from now on, or stop reading it: what it draws while it is dark."""
        if self.load:
            self._rested.loading = begin
        else:
            self._rest(dark=True, loading=begin)

    def switch_on(self) -> None:
        """Be idle instead of dark: repaired, or started."""
        self._draining = self.broken = False
        if self.dark:
            self._prefixes.clear()
            self._rest(dark=False)
        self._rested.loading = False
        self._rouse()

    def take(self, sequence: Sequence) -> None:
        """Put a request at the end of its class's queue."""
        self._enqueue(sequence, first=False)
        self._publish()
        self._rouse()

    def _rouse(self) -> None:
        """Work again, if there is something to do and it can."""
        if self._wake and not self._wake.triggered and self.load and not self.broken:
            self._wake.succeed()

    def _begin_step(self) -> Step:
        """Plan the step, move sequences and blocks, and switch the power."""
        plan = self._batcher(self.running, self.waiting, self.free_blocks, self.limits)
        moved = self._preempt(plan.preempted)
        batch, entered = self._take_blocks(plan)
        extra = self._swap_cost(moved + entered)
        step = begin_step(batch, self.coster, self._own, int(self.env.now), extra)
        self.power_w.set(step.start_ps, step.power_w)
        self._publish()
        return step

    def _preempt(self, count: int) -> int:
        """Evict the newest (rule 7); returns the blocks swapped out."""
        moved = 0
        for _ in range(count):
            sequence = self.running.pop()
            freed = sequence.swap_out() if self._swaps else sequence.lose_cache()
            self.free_blocks += freed
            moved += freed if self._swaps else 0
            self._enqueue(sequence, first=True)
            self.events.preempted.emit(self._event(sequence.request))
        return moved

    def _swap_cost(self, blocks: int) -> Extra:
        self.swapped_blocks += blocks
        rules = self.rules
        return Extra(to_ps(rules.swap_s_per_block) * blocks, rules.swap_j_per_block * blocks)

    def _take_blocks(self, plan: StepPlan) -> tuple[list[tuple[Sequence, int]], int]:
        """The step's sequences with their new tokens, admitted ones last; blocks swapped in."""
        batch = list(zip(self.running, plan.run_tokens, strict=False))
        entered = 0
        for new in plan.admit_tokens:
            sequence = self.waiting.popleft().enter()
            self.running.append(sequence)
            batch.append((sequence, new))
            if self._swaps:
                entered += blocks_for(sequence.cached, self.limits.block_size)
            if sequence.start_ps is None:
                sequence.start_ps = int(self.env.now)
                self.events.started.emit(self._event(sequence.request))
        for sequence, new in batch:
            self.free_blocks -= sequence.grow(new, self.limits.block_size)
        return batch, entered

    def _end_step(self, step: Step) -> None:
        """Give out tokens and shares; release what is complete."""
        now_ps = int(self.env.now)
        completed = False
        generated = 0
        for sequence, new in step.batch:
            if sequence.advance(new, step.prices):
                generated += 1
                if sequence.first_token_ps is None:
                    sequence.first_token_ps = now_ps
                    self.events.first_token.emit(self._event(sequence.request))
                completed = completed or sequence.complete
        if completed:
            self._release(now_ps)
        self._publish()
        self.events.stepped.emit(
            StepRecord(
                self.index,
                step.start_ps,
                now_ps,
                step.prefill,
                step.decode_contexts,
                generated,
                step.cost,
            )
        )

    def _release(self, now_ps: int) -> None:
        done = [sequence for sequence in self.running if sequence.complete]
        self.running = [sequence for sequence in self.running if not sequence.complete]
        for sequence in done:
            self.free_blocks += sequence.release()
            self.events.completed.emit(sequence.record(self.index, now_ps))

    def _publish(self) -> None:
        now_ps = int(self.env.now)
        self.running_requests.set(now_ps, len(self.running))
        self.waiting_requests.set(now_ps, len(self.waiting))
        self.kv_blocks.set(now_ps, self.limits.total_blocks - self.free_blocks)

    def _event(self, request: Request) -> RequestEvent:
        return RequestEvent(request, self.index, int(self.env.now))
