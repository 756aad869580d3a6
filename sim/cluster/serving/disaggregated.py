"""Prefill and decode on replicas of their own, with the cache sent over a link.

A prefill replica reads the prompt and gives the first token. Then the prompt's keys and
values go over the replica's link, one request after the other in the order of completion,
and the request joins a decode replica with its cache (rule 6 for its blocks). Handovers at
one instant come in the order of the requests. The prefill replica's blocks are free as
soon as the prompt is read: the link reads a copy. Nothing flows back, so the compiled
engine simulates one pool after the other.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.records import RequestRecord, ServingEvents
from sim.cluster.serving.routing import RoutedReplicas
from sim.cluster.serving.sequence import Handed
from sim.cluster.serving.state import arrival_rows
from sim.errors import InputError
from sim.units import to_ps
from sim.workload.requests import Request, RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


MOST_S = 8.0
"""On the link for a token: with a million tokens, the picoseconds are a 64-bit number."""


@dataclass(frozen=True, slots=True)
class CacheLink:
    """The link of a prefill replica.

    Attributes:
        latency_s: of a transfer, beside its time on the link.
        s_per_token: cache bytes per token over the link's bandwidth.
        s_per_prompt: bytes that a prompt of any length leaves (recurrent state) over it.
        windows: of layers that keep their latest tokens only: how many, and s per token.
    """

    latency_s: float
    s_per_token: float
    s_per_prompt: float = 0.0
    windows: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        each = (self.s_per_token, self.s_per_prompt, *(each_s for _, each_s in self.windows))
        if not (0 <= self.latency_s < np.inf and all(0 <= s < np.inf for s in each)):
            raise InputError(f"link of {self.latency_s} s and {self.s_per_token} s per token")
        if sum(each) > MOST_S:
            raise InputError(
                f"a cache of one token takes the link {sum(each):.4g} s, at most {MOST_S:g} s",
                "give a faster link",
                path="disaggregated",
            )

    def times_ps(self, tokens: IntArray) -> IntArray:
        """Time of prompts' caches on the link, shape (n,)."""
        times = to_ps(self.s_per_token) * tokens + to_ps(self.s_per_prompt)
        for most, each_s in self.windows:
            times = times + to_ps(each_s) * np.minimum(tokens, most)
        return times

    def busy_ps(self, tokens: int) -> int:
        """Time of a prompt's cache on the link."""
        return int(self.times_ps(np.array([tokens]))[0])

    def arrives_ps(self, free_ps: int, ready_ps: int, tokens: int) -> tuple[int, int]:
        """(when the cache is there, when the link is free again)."""
        free_ps = max(free_ps, ready_ps) + self.busy_ps(tokens)
        return free_ps + to_ps(self.latency_s), free_ps


class Links:
    """The links of the prefill replicas of a compiled pool, each a queue.

    Attributes:
        busy_ps: time that each has sent, shape (replicas,), up to the end of what it was given.
        free_ps: when each is free again.
    """

    def __init__(self, link: CacheLink, replicas: int):
        self.link = link
        self.free_ps = [0] * replicas
        self.busy_ps = [0] * replicas

    def send(self, log: IntArray) -> IntArray:
        """When the cache of each prompt of a log is there, shape (n,); prompts in order.

        What comes so late that no run lasts till then is there at `kernels.layout.NEVER`.
        """
        there, latency_ps = np.zeros(len(log), dtype=np.int64), to_ps(self.link.latency_s)
        times = self.link.times_ps(log[:, at.L_INPUT]).tolist()
        ready = log[:, (at.L_REPLICA, at.L_END)].tolist()
        for place, ((replica, end_ps), time_ps) in enumerate(zip(ready, times, strict=True)):
            self.free_ps[replica] = max(self.free_ps[replica], end_ps) + time_ps
            self.busy_ps[replica] += time_ps
            there[place] = min(self.free_ps[replica] + latency_ps, at.NEVER)
        return there

    def sent_ps(self, time_ps: int) -> list[int]:
        """Time that each has sent until an instant by which nothing more was given to it."""
        queued = (
            (sent, free - time_ps) for sent, free in zip(self.busy_ps, self.free_ps, strict=True)
        )
        return [sent - max(0, rest) for sent, rest in queued]


class ReferenceHandover:
    """Brings requests from reference prefill replicas to decode replicas.

    Args:
        prefill_events: hooks of the prefill replicas.
        decode: who takes the requests.
        link: of each prefill replica.
        prefill: who reads the prompts.
    """

    def __init__(
        self,
        env: Environment,
        prefill: RoutedReplicas,
        prefill_events: ServingEvents,
        decode: RoutedReplicas,
        link: CacheLink,
    ):
        self._env = env
        self._prefill = prefill
        self._decode = decode
        self._link = link
        self._free_ps = dict.fromkeys(range(len(prefill.replicas)), 0)
        self._whole: dict[int, Request] = {}
        self._sent: list[tuple[int, int, int]] = []
        prefill_events.completed.subscribe(self._send)

    def submit(self, request: Request) -> None:
        """Let the prompt be read."""
        self._whole[request.request_id] = request
        self._prefill.submit(replace(request, output_tokens=1))

    def _send(self, record: RequestRecord) -> None:
        request = self._whole.pop(record.request.request_id)
        if request.output_tokens == 1:
            return
        there_ps, self._free_ps[record.replica] = self._link.arrives_ps(
            self._free_ps[record.replica], record.end_ps, request.input_tokens
        )
        entry = (there_ps, request.request_id, record.end_ps)
        heapq.heappush(self._sent, entry)
        self._whole[request.request_id] = request
        self._env.process(self._hand_over(there_ps))

    def _hand_over(self, there_ps: int) -> Generator[Event, None, None]:
        yield At(self._env, Phase.ARRIVAL, there_ps - int(self._env.now))
        _, number, first_ps = heapq.heappop(self._sent)
        request = replace(self._whole.pop(number), arrival_ps=there_ps)
        self._decode.submit(request, Handed(first_ps))


def run_disaggregated(
    prefill: CompiledReplicas,
    decode: CompiledReplicas,
    link: CacheLink,
    requests: RequestTable,
    draws: tuple[FloatArray, FloatArray],
    end_ps: int,
) -> IntArray:
    """The same on the compiled engine, up to an instant.

    Args:
        prefill, decode: both with a log.
        draws: for the prefill and for the decode router, in order of arrival there.

    Returns:
        One row for each request that reached a decode replica before the end: its number,
        the prefill replica, when its first token came, and when its cache was there.
    """
    rows = arrival_rows(requests)
    rows[:, at.A_OUTPUT] = 1
    prefill.bring(rows, draws[0], end_ps)
    log = prefill.log()
    log = log[log[:, at.L_REASON] == at.SERVED]
    outputs = requests.output_tokens[log[:, at.L_ID]]
    log = log[outputs > 1]
    there = Links(link, len(prefill.cell.due)).send(log)
    sent = np.column_stack([log[:, (at.L_ID, at.L_REPLICA, at.L_END)], there])
    sent = sent[np.lexsort((sent[:, 0], sent[:, 3]))]
    handed = arrival_rows(requests)[sent[:, 0]]
    handed[:, at.A_TIME], handed[:, at.A_FIRST] = sent[:, 3], sent[:, 2]
    handed[:, at.A_GENERATED], handed[:, at.A_CACHED] = 1, handed[:, at.A_INPUT]
    done = decode.bring(handed, draws[1], end_ps)
    return sent[:done]
