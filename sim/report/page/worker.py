"""The process that runs scenarios for the page: warm, one question at a time, easily killed."""

from __future__ import annotations

import signal
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sim.errors import FlopgridError, InputError

Message = tuple[str, Any]
"""(`ready` | `progress` | `done` | `wrong` | `failed`, what)."""


def serve_questions(pipe: Connection) -> None:
    """Answer questions from a pipe until it closes.

    Sends `ready` once warm; for each question any number of `progress` and then one of `done`
    (the answer), `wrong` (field, what, todo) or `failed` (what).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's interrupt ends us by the pipe
    from sim.report.page.answer import answer
    from sim.report.page.question import read_question

    _warm()
    pipe.send(("ready", None))
    while True:
        try:
            tree = pipe.recv()
        except EOFError:
            return
        with tempfile.TemporaryDirectory(prefix="flopgrid-page-") as folder:
            pipe.send(_reply(pipe, tree, Path(folder), answer, read_question))


def _reply(pipe: Connection, tree: Any, folder: Path, answer: Any, read_question: Any) -> Message:
    from sim.report.page.question import WrongField

    def tell(line: str) -> None:
        pipe.send(("progress", line))

    try:
        return "done", answer(read_question(tree), folder, tell)
    except WrongField as error:
        return "wrong", {"field": error.field, "what": error.what, "todo": error.todo}
    except InputError as error:
        return "wrong", {"field": "gpus", "what": error.what, "todo": error.todo}
    except FlopgridError as error:
        return "failed", str(error)


def _warm() -> None:
    """Read what every answer needs, so that the first one is quick."""
    from sim.grid.us_states import us_states
    from sim.hardware.node import load_node

    us_states()
    load_node("dgx-h100")
