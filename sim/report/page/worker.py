"""The processes that work for the page: one answers questions, one draws. Warm, easily killed."""

from __future__ import annotations

import pickle
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sim.errors import FlopgridError, InputError

Message = tuple[str, Any]
"""What it is, and what it says."""


def serve_questions(pipe: Connection) -> None:
    """Answer (question, folder) from a pipe until it closes.

    Sends `ready` once warm; for each question any number of `progress` and then `done` (the
    answer) followed by `drawing` (what its figures are drawn from), or one of `wrong` (field,
    what, todo) and `failed` (what).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's interrupt ends us by the pipe
    from sim.report.page.answer import answer, drawing

    _warm()
    pipe.send(("ready", None))
    while (asked := _next(pipe)) is not None:
        tree, folder = asked[0], Path(asked[1])
        message, answered = _reply(pipe, tree, folder, answer)
        pipe.send(message)
        if answered is not None:
            # As bytes: who hands it on need not know what it is made of.
            pipe.send(("drawing", pickle.dumps(drawing(answered, folder))))


def draw_answers(pipe: Connection) -> None:
    """Draw (drawing, folder) from a pipe until it closes.

    Sends `ready` once warm; for each drawing its pieces as `figure` and then `drawn`, or
    `failed` (what).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from sim.report.page.artist import draw

    pipe.send(("ready", None))
    while (asked := _next(pipe)) is not None:
        try:
            drawn = pickle.loads(asked[0])  # noqa: S301  # from the other worker of this server
            for piece in draw(drawn, Path(asked[1])):
                pipe.send(("figure", piece))
            pipe.send(("drawn", None))
        except FlopgridError as error:
            pipe.send(("failed", str(error)))


def _next(pipe: Connection) -> Any:
    """What is asked next; None when nobody asks any more."""
    try:
        return pipe.recv()
    except EOFError:
        return None


def _reply(pipe: Connection, tree: Any, folder: Path, answer: Any) -> tuple[Message, Any]:
    """What the page hears, and the run where there is one."""
    from sim.report.page.question import WrongField, field_of, read_question

    def tell(line: str) -> None:
        pipe.send(("progress", line))

    try:
        answered = answer(read_question(tree), folder, tell)
    except WrongField as error:
        return ("wrong", {"field": error.field, "what": error.what, "todo": error.todo}), None
    except InputError as error:
        field = field_of(error.path)
        return ("wrong", {"field": field, "what": error.what, "todo": error.todo}), None
    except FlopgridError as error:
        return ("failed", str(error)), None
    return ("done", answered.shown), answered


def _warm() -> None:
    """Read what every answer needs, so that the first one is quick."""
    from sim.grid.us_states import us_states
    from sim.hardware.node import load_node

    us_states()
    load_node("dgx-h100")
