# mypy: disable-error-code="no-any-return"
"""The prefix store of a replica (rule 15): which prompt blocks it has seen lately.

A hash table with chains and a list in order of use. Slots are numbered from 0; -1 is none.
"""

from __future__ import annotations

from sim.cluster.serving.jit import internal
from sim.cluster.serving.kernels.layout import (
    FIRST_SLOT,
    LAST_SLOT,
    S_CHAIN,
    S_KEY,
    S_NEXT,
    S_PREV,
    USED_SLOTS,
    Cell,
    IntArray,
)


@internal
def bucket_of(c: Cell, key: int) -> int:
    """Bucket of a block's number."""
    return (key * 0x2545F4914F6CDD1D >> 20) % c.bucket.shape[1]


@internal
def find(c: Cell, r: int, key: int) -> int:
    """Slot of a block, or -1."""
    slot = c.bucket[r, bucket_of(c, key)]
    while slot >= 0 and c.store[r, slot, S_KEY] != key:
        slot = c.store[r, slot, S_CHAIN]
    return slot


@internal
def unlink(c: Cell, r: int, slot: int) -> None:
    """Take a slot out of the order of use."""
    store, ends = c.store, c.ends
    before, after = store[r, slot, S_PREV], store[r, slot, S_NEXT]
    if before >= 0:
        store[r, before, S_NEXT] = after
    else:
        ends[r, FIRST_SLOT] = after
    if after >= 0:
        store[r, after, S_PREV] = before
    else:
        ends[r, LAST_SLOT] = before


@internal
def forget(c: Cell, r: int, slot: int) -> None:
    """Take a slot out of its bucket."""
    store = c.store
    place = bucket_of(c, store[r, slot, S_KEY])
    if c.bucket[r, place] == slot:
        c.bucket[r, place] = store[r, slot, S_CHAIN]
        return
    other = c.bucket[r, place]
    while store[r, other, S_CHAIN] != slot:
        other = store[r, other, S_CHAIN]
    store[r, other, S_CHAIN] = store[r, slot, S_CHAIN]


@internal
def use(c: Cell, r: int, key: int) -> None:
    """A block is used: it goes last, and the one unused for longest may go out for it."""
    store, ends = c.store, c.ends
    slot = find(c, r, key)
    if slot >= 0:
        unlink(c, r, slot)
    else:
        if ends[r, USED_SLOTS] < store.shape[1]:
            slot = ends[r, USED_SLOTS]
            ends[r, USED_SLOTS] += 1
        else:
            slot = ends[r, FIRST_SLOT]
            unlink(c, r, slot)
            forget(c, r, slot)
        place = bucket_of(c, key)
        store[r, slot, S_KEY], store[r, slot, S_CHAIN] = key, c.bucket[r, place]
        c.bucket[r, place] = slot
    last = ends[r, LAST_SLOT]
    store[r, slot, S_PREV], store[r, slot, S_NEXT] = last, -1
    if last >= 0:
        store[r, last, S_NEXT] = slot
    else:
        ends[r, FIRST_SLOT] = slot
    ends[r, LAST_SLOT] = slot


@internal
def hits(c: Cell, r: int, hashes: IntArray, begin: int, count: int) -> int:
    """Leading blocks of a prompt that the store has."""
    for index in range(count):
        if find(c, r, hashes[begin + index]) < 0:
            return index
    return count


@internal
def use_all(c: Cell, r: int, hashes: IntArray, begin: int, count: int) -> None:
    """All blocks of a prompt are used, from the first to the last."""
    for index in range(count):
        use(c, r, hashes[begin + index])
