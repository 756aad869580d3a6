"""What a command makes from the files of finished runs, which may say anything by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.errors import FlopgridError, InputError, Place

DAMAGE = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)
"""What files that say what cannot be make of code that reads them, those of arrow included."""


@contextmanager
def made_from(*folders: Path) -> Iterator[None]:
    """Tell in one line that files do not fit together, whatever they say that cannot be.

    Raises:
        InputError: with the first folder, and what could not be read from the files.
    """
    try:
        yield
    except FlopgridError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"cannot be made from what the files say: {type(error).__name__}: {str(error)[:200]}",
            "verify the run with `flopgrid check`, or run it again",
            place=Place(" or ".join(map(str, folders))),
        ) from error
