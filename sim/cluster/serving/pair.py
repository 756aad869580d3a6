"""A routing cell whose prompts are read by one pool of replicas and decoded by another.

It goes forward as the compiled engine's replicas do, piece by piece. The prefill pool goes
first: all prompts that end by an instant are then known, and so are the caches that arrive
before it, as a transfer takes no time backwards. So each piece hands over exactly what the
reference hands over, in the same order, and the decode pool follows. Requests are told whole:
from the user's arrival at the prefill router to the last token of the decode pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.cell_log import held_rows
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.disaggregated import CacheLink, Links
from sim.cluster.serving.histograms import buckets
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.open_rows import OpenRows
from sim.cluster.serving.state import Watch
from sim.cluster.serving.turns import Draws
from sim.cluster.serving.whole_book import WholeBook
from sim.control.serving import BatchRules
from sim.cost.tables import StepTables
from sim.errors import LawViolation
from sim.units import to_s

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

A_KEPT = (at.A_OUTPUT, at.A_KEY)
"""What the prefill pool is not told of a request, or does not tell."""
THERE, KEY, FIRST_ROW = 0, 1, 2
"""Columns of a cache on its way: when it is there, the session, and its row of the log."""


@dataclass(frozen=True, slots=True)
class Pools:
    """What stands in a cell.

    Attributes:
        prefill, decode: replicas. link: of each prefill replica.
    """

    prefill: int
    decode: int
    link: CacheLink


class PairCounts(NamedTuple):
    """What `kernels.layout.Cell` tells of a cell, of whole requests of a pair.

    Attributes:
        due: of each replica, prefill first. load: of each replica, and what is on its way.
        tally, histogram, sums: as there.
    """

    due: IntArray
    load: IntArray
    tally: IntArray
    histogram: IntArray
    sums: FloatArray


class PairedReplicas:
    """Prefill and decode replicas behind a router each (see `CompiledReplicas`).

    Args:
        tables: what a step costs, at a prefill and at a decode replica, shape (2,).
        rules: how steps are formed. A class's `max_queue_tokens` holds at the prefill replicas,
            where prompts wait; prefix stores are theirs.
        pools: of how many replicas.
        router: name of both routers.
        watch: the window of the counts.
        draws: for the decode router, by number of the hand-over.

    Attributes:
        prefill, decode: the pools. links: of the prefill replicas.
        handed: requests handed over so far, those on their way included.
        handed_tokens: their prompts. transfers: of the caches that arrived, histogram of the
            times from the first token. transfer_ps: their sum.
    """

    def __init__(
        self,
        tables: Sequence[StepTables],
        rules: BatchRules,
        pools: Pools,
        router: str,
        watch: Watch,
        draws: Draws,
    ):
        told = replace(watch, log=True)
        of_decode = decode_rules(rules)
        self.prefill = CompiledReplicas(tables[0], rules, pools.prefill, router, told)
        self.decode = CompiledReplicas(tables[1], of_decode, pools.decode, router, told)
        self.decode.share_log(self.prefill)
        self.links = Links(pools.link, pools.prefill)
        self.handed = self.handed_tokens = self.transfer_ps = 0
        self._draws = draws
        self._asked = OpenRows(len(A_KEPT))
        self._sent = OpenRows(at.LOG_COLUMNS)
        self._way = np.zeros((0, FIRST_ROW + at.LOG_COLUMNS), dtype=np.int64)
        self._book = WholeBook(watch.window_ps, self.prefill.cell.rules, len(rules.classes))
        self.transfers = np.zeros(at.HISTOGRAM_BUCKETS, dtype=np.int64)
        self._ended: list[IntArray] = []
        self._reached_ps = self._refused_tokens = self._booked_ps = 0

    @property
    def pools(self) -> tuple[CompiledReplicas, CompiledReplicas]:
        """Prefill and decode replicas."""
        return self.prefill, self.decode

    @property
    def under_way(self) -> int:
        """Caches on their way."""
        return len(self._way)

    @property
    def cell(self) -> PairCounts:
        """Counts of whole requests; arrivals are those at the prefill router."""
        tally, came = self._book.tally.copy(), self.prefill.cell.tally
        tally[:, [at.ARRIVED, at.W_ARRIVED]] = came[:, [at.ARRIVED, at.W_ARRIVED]]
        return PairCounts(
            np.concatenate([pool.cell.due for pool in self.pools]),
            np.concatenate([*(pool.cell.load for pool in self.pools), [self.under_way]]),
            tally,
            self._book.histogram,
            self._book.sums,
        )

    def know_blocks(self, blocks: IntArray) -> None:
        """Take the blocks of the prompts to come, for the stores of the prefill replicas."""
        self.prefill.know_blocks(blocks)

    def prefix_tokens(self) -> tuple[int, int]:
        """Prompt tokens that came from prefix stores, and all of the requests taken so far."""
        return self.prefill.prefix_tokens()

    def bring(self, rows: IntArray, draws: FloatArray, until_ps: int) -> None:
        """Submit all of some requests, and advance to an instant after them."""
        self.submit(rows, draws)
        self.settle(until_ps)

    def submit(self, rows: IntArray, draws: FloatArray) -> None:
        """Let the prompts of requests be read, in order (see `CompiledReplicas.submit`)."""
        self._asked.add(rows[:, A_KEPT])
        prompts = rows.copy()
        prompts[:, at.A_OUTPUT] = 1
        self.prefill.submit(prompts, draws)

    def settle(self, time_ps: int) -> None:
        """Advance to an instant: the prefill pool, the caches that arrive before it, decode.

        Raises:
            LawViolation: a cache arrives in time that is simulated already.
        """
        self.prefill.settle(time_ps)
        self._hear_prefill(self.prefill.take_log())
        due = int(np.searchsorted(self._way[:, THERE], time_ps))
        come, self._way = self._way[:due], self._way[due:]
        if len(come):
            if come[0, THERE] < self._reached_ps:
                raise LawViolation(
                    f"a cache arrives at {to_s(int(come[0, THERE]))} s, decode replicas stand at "
                    f"{to_s(self._reached_ps)} s"
                )
            first = self.handed - len(self._way) - len(come)
            took_ps = come[:, THERE] - come[:, FIRST_ROW + at.L_END]
            self.transfer_ps += sum(took_ps.tolist())
            np.add.at(self.transfers, buckets(took_ps.astype(np.float64)), 1)
            self._sent.add(come[:, FIRST_ROW:])
            self.decode.submit(_handed_rows(come), self._draws(first, len(come)))
        self.decode.settle(time_ps)
        self._hear_decode(self.decode.take_log())
        self._reached_ps = time_ps

    def take_log(self) -> IntArray:
        """Whole requests that the pools are done with since they were last taken."""
        rows, self._ended = self._ended, []
        return np.concatenate([np.zeros((0, at.LOG_COLUMNS), dtype=np.int64), *rows])

    def held(self) -> IntArray:
        """The requests in the system, columns `L_`: prefill, on their way, decode."""
        reading = held_rows(self.prefill)
        reading[:, at.L_OUTPUT] = self._asked.read(reading[:, at.L_ID])[:, 0]
        on_way = self._way[:, FIRST_ROW:].copy()
        on_way[:, at.L_REASON] = at.HELD
        decoding = held_rows(self.decode)
        decoding = self._whole(decoding, self._sent.read(decoding[:, at.L_ID]))
        return np.concatenate([reading, on_way, decoding])

    def check_laws(self, time_ps: int) -> None:
        """Laws of each pool, and of whole requests and the links between them.

        Requests: those that arrived are done with, at a pool, or on a link. Tokens: the prompts
        that were read are those of requests done with, on a link or at decode. Links: none sends
        for longer than there was. Little: the number of requests in the pools and on the links
        over time is the sum of the times that whole requests spent (modulo 2**64).

        Raises:
            LawViolation: one of them fails.
        """
        for pool in self.pools:
            pool.check_laws(time_ps)
        self._check_requests()
        self._check_tokens()
        self._check_links()
        self._check_stays(time_ps)

    def _hear_prefill(self, log: IntArray) -> None:
        """Send the caches of prompts that were read; the others are done with."""
        kept = self._asked.take(log[:, at.L_ID])
        rows = log.copy()
        rows[:, at.L_OUTPUT] = kept[:, 0]
        sends = (rows[:, at.L_REASON] == at.SERVED) & (rows[:, at.L_OUTPUT] > 1)
        done = rows[~sends]
        refused = done[:, at.L_REASON] != at.SERVED
        self._end(done, np.where(refused, done[:, at.L_ARRIVAL], done[:, at.L_END]))
        self._send(rows[sends], kept[sends, 1])

    def _send(self, rows: IntArray, keys: IntArray) -> None:
        there_ps = self.links.send(rows)
        self._booked_ps += sum((there_ps - rows[:, at.L_END]).tolist())
        self.handed += len(rows)
        self.handed_tokens += int(rows[:, at.L_INPUT].sum())
        way = np.concatenate([self._way, np.column_stack([there_ps, keys, rows])])
        order = np.lexsort((way[:, FIRST_ROW + at.L_ID], way[:, THERE]))
        self._way = way[order]

    def _hear_decode(self, log: IntArray) -> None:
        """Requests that decode replicas are done with."""
        rows = self._whole(log, self._sent.take(log[:, at.L_ID]))
        refused = rows[:, at.L_REASON] != at.SERVED
        self._refused_tokens += int(rows[refused, at.L_INPUT].sum())
        self._end(rows, np.where(refused, log[:, at.L_ARRIVAL], rows[:, at.L_END]))

    def _whole(self, decode: IntArray, prefill: IntArray) -> IntArray:
        """Rows of whole requests from those of both pools; shares of both pools' steps add up."""
        rows = decode.copy()
        same = [at.L_ID, at.L_ARRIVAL, at.L_START]
        rows[:, same] = prefill[:, same]
        rows[:, at.L_REPLICA] += len(self.prefill.cell.due)
        summed = [at.L_PREEMPTIONS, at.L_RECOMPUTED]
        rows[:, summed] += prefill[:, summed]
        paid = [np.ascontiguousarray(own[:, at.L_SHARES :]) for own in (decode, prefill)]
        both = paid[0].view(np.float64) + paid[1].view(np.float64)
        rows[:, at.L_SHARES :] = both.view(np.int64)
        return rows

    def _end(self, rows: IntArray, left_ps: IntArray) -> None:
        self._book.count(rows, left_ps)
        if len(rows):
            self._ended.append(rows)

    def _check_requests(self) -> None:
        counts = self.cell
        tally = counts.tally.sum(axis=0)
        came, held = int(tally[at.ARRIVED]), int(counts.load.sum())
        gone = int(tally[at.COMPLETED] + tally[at.DROPPED] + tally[at.SHED])
        if came != gone + held:
            raise LawViolation(
                f"{came} requests came to two pools, {gone} are done with, {held} are held, "
                f"{self.under_way} of them on a link"
            )

    def _check_tokens(self) -> None:
        """Each prompt that was read, and each token given, is counted where its request is."""
        read = int(self.prefill.cell.tally[:, at.TOKENS_IN].sum())
        whole, late = self._book.tally.sum(axis=0), self.decode.cell.tally.sum(axis=0)
        single, tokens_in, tokens_out = (
            int(whole[column] - late[column])
            for column in (at.COMPLETED, at.TOKENS_IN, at.TOKENS_OUT)
        )
        way = int(self._way[:, FIRST_ROW + at.L_INPUT].sum())
        held = int(self._sent.rows[:, at.L_INPUT].sum())
        gone = int(late[at.TOKENS_IN]) + self._refused_tokens
        if read != tokens_in + way + held + gone:
            raise LawViolation(
                f"{read} prompt tokens were read, but {tokens_in} are of answers of one token, "
                f"{way} on links, {held} at decode replicas, {gone} done with there"
            )
        if tokens_out != single:
            raise LawViolation(
                f"{int(whole[at.TOKENS_OUT])} tokens of whole requests, "
                f"{int(late[at.TOKENS_OUT])} of decode replicas and {single} of one-token answers"
            )

    def _check_links(self) -> None:
        """A link cannot have sent for longer than until it is free."""
        for replica, (sent_ps, free_ps) in enumerate(
            zip(self.links.busy_ps, self.links.free_ps, strict=True)
        ):
            if sent_ps > free_ps:
                raise LawViolation(
                    f"link of prefill replica {replica} sent for {to_s(sent_ps)} s "
                    f"until {to_s(free_ps)} s"
                )

    def _check_stays(self, time_ps: int) -> None:
        """Little's law of whole requests: what pools and links held is what requests stayed."""
        number = self._booked_ps - sum((self._way[:, THERE] - time_ps).tolist())
        for pool in self.pools:
            rep, load = pool.cell.rep, pool.cell.load
            area = rep[:, at.AREA] + load * (time_ps - rep[:, at.CHANGED])
            number += sum(area.tolist())
        held = self.held()[:, at.L_ARRIVAL]
        stays = self._book.stayed_ps + sum((time_ps - held).tolist())
        if (number - stays) % 2**64:
            raise LawViolation(
                f"{number} request-ps in two pools and on links, stays of whole requests {stays}"
            )


def decode_rules(rules: BatchRules) -> BatchRules:
    """Rules of decode replicas: prompts wait, and find their prefixes, elsewhere."""
    classes = tuple(replace(rule, max_queue_tokens=None) for rule in rules.classes)
    return replace(rules, classes=classes, prefix_blocks=0)


def _handed_rows(way: IntArray) -> IntArray:
    """Caches that are there, as arrivals with one token given and the prompt in the cache."""
    log = way[:, FIRST_ROW:]
    rows = np.zeros((len(way), at.ARRIVAL_COLUMNS), dtype=np.int64)
    rows[:, at.A_TIME], rows[:, at.A_KEY] = way[:, THERE], way[:, KEY]
    rows[:, at.A_INPUT], rows[:, at.A_OUTPUT] = log[:, at.L_INPUT], log[:, at.L_OUTPUT]
    rows[:, at.A_CLASS], rows[:, at.A_FIRST] = log[:, at.L_CLASS], log[:, at.L_END]
    rows[:, at.A_GENERATED], rows[:, at.A_CACHED] = 1, log[:, at.L_INPUT]
    return rows
