"""Folders that appear complete or not at all, whatever is killed and whenever.

A folder is written under a hidden sibling name, `.NAME.tmp-XXXX`, on which its writer holds
a lock that ends with the process. When it is complete it takes the place of the final name
in one rename, or one exchange where an older one stands there. A sibling without a lock
belongs to nobody alive: `clean_stale` removes it, or puts it back where a crash fell into
the one gap that file systems without exchange have.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TEMPORARY: Final = ".tmp-"
_REPLACED: Final = ".old-"
TRIES: Final = 100
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """A folder being written.

    Args:
        path: where to write.
        final: where it will stand.
        lock: descriptor of the folder, which holds the writer's lock.
        made: folders above it that were not there before, the innermost first.
    """

    path: Path
    final: Path
    lock: int
    made: tuple[Path, ...] = ()


def start(final: Path) -> Draft:
    """Make an empty draft of a folder, and its parents.

    Raises:
        OSError: it cannot be made.
    """
    made = tuple(folder for folder in final.parents if not folder.exists())
    for tries_left in reversed(range(TRIES)):
        path = final.parent / f".{final.name}{_TEMPORARY}{secrets.token_hex(6)}"
        try:
            path.mkdir(parents=True)
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # somebody tidied the empty parent away in between
            if not tries_left:
                raise  # nobody tidies so often: no folder can be made here, as below /proc
            continue
        if _try_lock(lock) and path.exists():
            return Draft(path, final, lock, made)
        os.close(lock)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(final))


def publish(draft: Draft) -> None:
    """Let the draft take its final name, in place of what stands there.

    Raises:
        OSError: the rename failed; what stood there still stands.
    """
    with _locked(draft.final.parent):
        _replace(draft)
    os.close(draft.lock)


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old one or the new one, never a part.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}{_TEMPORARY}{secrets.token_hex(6)}")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def clean_files(folder: Path) -> None:
    """Remove what `write_file` left when it was killed; only for the one who holds the folder."""
    for path in folder.glob(f".*{_TEMPORARY}*"):
        if path.is_file():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: Path, wait_s: float = 0.0) -> Iterator[int]:
    """Be the only holder of a folder, until the block or the process ends.

    Args:
        wait_s: how long to wait for a holder that is about to end.

    Yields:
        the descriptor that holds the lock; a process that inherits it shares the lock.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    until_s = time.monotonic() + wait_s
    try:
        while not _try_lock(descriptor):
            if time.monotonic() >= until_s:
                raise BlockingIOError(errno.EWOULDBLOCK, f"{folder} is held by somebody else")
            time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder that may not be there."""
    shutil.rmtree(folder, ignore_errors=True)


def discard(draft: Draft) -> None:
    """Remove the draft, and what was made for it if nothing else is in it."""
    shutil.rmtree(draft.path, ignore_errors=True)
    os.close(draft.lock)
    for folder in draft.made or (draft.final.parent,):
        with contextlib.suppress(OSError):
            folder.rmdir()


def clean_stale(parent: Path) -> list[Path]:
    """Remove what dead writers left in a folder; the removed paths, sorted.

    An older folder that a crash caught between its two renames gets its name back.
    """
    with contextlib.suppress(FileNotFoundError), _locked(parent):
        for path in sorted(parent.glob(f".*{_REPLACED}*")):
            final = parent / path.name[1:].rpartition(_REPLACED)[0]
            if final.exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.rename(final)
        return [path for path in sorted(parent.glob(f".*{_TEMPORARY}*")) if _remove_if_dead(path)]
    return []


def _replace(draft: Draft) -> None:
    """One rename; one exchange; or two renames where the file system knows no exchange."""
    try:
        draft.path.rename(draft.final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    old = draft.path
    if not _exchange(draft.path, draft.final):
        old = draft.final.parent / f".{draft.final.name}{_REPLACED}{secrets.token_hex(6)}"
        draft.final.rename(old)
        try:
            draft.path.rename(draft.final)
        except OSError:
            old.rename(draft.final)
            raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system cannot."""
    function = getattr(ctypes.CDLL(None), "renameat2", None)
    if function is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def _remove_if_dead(path: Path) -> bool:
    """Remove a draft whose writer holds no lock any more."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        if not _try_lock(lock):
            return False
        shutil.rmtree(path, ignore_errors=True)
        return True
    finally:
        os.close(lock)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's own lock, so that only one process renames in it at a time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
