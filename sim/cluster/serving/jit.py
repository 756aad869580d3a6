"""Compiling: one decorator, so that all kernels are built alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile at the first call and keep the machine code on disk.

    Kernels that call each other live in one file: the store looks only at the file of the
    function that is called from Python.
    """
    return cast("Function", njit(cache=True, error_model="numpy")(function))
