"""Compiling: three decorators, so that all kernels are built alike, and one store.

Kernels only borrow arrays that Python holds for the whole call, so counting references to
them (an atomic operation at each hand-over, half of the time in a first version) is turned
off. Numba's store of machine code looks only at the file of the function called from
Python; here its stamp is a hash of all kernel files, so that a change in any of them
compiles anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

KERNELS = Path(__file__).parent / "kernels"


def compiled(function: Function) -> Function:
    """Compile at the first call and keep the machine code on disk."""
    build: Any = njit  # its published signature lacks the last option
    dispatcher = build(cache=True, error_model="numpy", nogil=True, _nrt=False)(function)
    dispatcher._cache._cache_file._source_stamp = source_stamp()  # noqa: SLF001
    return cast("Function", dispatcher)


def internal(function: Function) -> Function:
    """Compile for other kernels only."""
    build: Any = njit
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast("Function", build(error_model="numpy", _nrt=False, **wrappers)(function))


def inlined(function: Function) -> Function:
    """Compile into each caller: for the hot path, where a call costs more than the work."""
    build: Any = njit
    return cast("Function", build(inline="always", error_model="numpy", _nrt=False)(function))


def _seldom(_context: Any) -> Any:

    def mark(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), mark


seldom = cast("Callable[[], None]", intrinsic(_seldom))
"""Said in a kernel that hot loops call seldom: its code stays out of theirs."""


def is_stored(function: Callable[..., Any]) -> bool:
    """Whether machine code of this source is loaded or on disk, so that a call need not compile."""
    kernel = cast("Any", function)
    return bool(kernel.signatures or kernel._cache._cache_file._load_index())  # noqa: SLF001


@cache
def source_stamp() -> tuple[str]:
    """A hash of all kernel files."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(KERNELS.glob("*.py"))):
        digest.update(path.name.encode() + path.read_bytes())
    return (digest.hexdigest(),)
