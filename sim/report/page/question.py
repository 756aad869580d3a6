"""What a visitor asks on the page, and the scenario that it means.

Every field is a figure or a name: nothing that comes from the page is ever a path. An uploaded
`config.json` is kept by the worker under the hash of its text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from sim import arch
from sim.arch import Architecture
from sim.cost.plan_training import best_training
from sim.cost.serving import ReplicaCost
from sim.cost.training_setup import TrainingSetup
from sim.errors import CapacityError, InputError, UnknownNameError
from sim.grid.us_states import resolve_zone, us_states
from sim.hardware.node import Node, load_node
from sim.policy import apply_all, parse_policies
from sim.scenario.cap_costs import CapCosts
from sim.scenario.resolve import resolve
from sim.scenario.schema import LayoutSpec, Scenario, ServingSpec
from sim.scenario.schema.base import Strict, Whole
from sim.scenario.wording import words

MAX_CONFIG_CHARS = 100_000
MAX_DEPTH = 12
NODE = "dgx-h100"
TEXAS_CASE = "activsg2000"
CONFIG = "config-"
"""How the file of an uploaded config begins."""
BATCH_TOKENS_PER_GPU = 1024
HORIZON_H = 2.0
REQUESTS_H, WARMUP_S = 0.25, 300.0
"""With objectives single requests are simulated: a shorter time, after a start that is left out."""

FIELDS = {
    "sites[0].at": "place",
    "sites[0].cluster": "gpus",
    "sites[0].facility": "pue",
    "sites[0].workloads[0].arch": "arch",
    "sites[0].workloads[0].layout": "arch",
    "sites[0].workloads[0].requests": "busy",
    "--policy": "policies",
}
"""Where an error of the scenario belongs on the page."""


class Question(Strict):
    """The form, filled in."""

    place: str = Field("TX-ERCOT", max_length=40, description="a zone, or `bus 7095` in Texas")
    work: Literal["training", "serving"] = "training"
    gpus: Whole = Field(100_000, ge=8, le=5_000_000)
    arch: str = Field("gpt6-class-moe", max_length=80)
    config: str | None = Field(None, max_length=MAX_CONFIG_CHARS, description="a config.json")
    pue: float = Field(1.2, ge=1.0, le=3.0)
    beside: str = Field("", max_length=80, description="another architecture, to compare with")
    busy: float = Field(0.7, ge=0.05, le=0.95, description="share of saturation, serving")
    ttft_s: float | None = Field(None, gt=0, le=1e6, description="objective, serving")
    tpot_s: float | None = Field(None, gt=0, le=1e6, description="objective, serving")
    policies: list[Annotated[str, Field(max_length=300)]] = Field([], max_length=6)
    layout: LayoutSpec | None = Field(None, description="default: the best one found")

    @property
    def has_objectives(self) -> bool:
        """True if requests have a time within which they are to be served."""
        return self.ttft_s is not None or self.tpot_s is not None

    @property
    def key(self) -> str:
        """What names the answer: the same question has the same one."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class WrongField(InputError):
    """An error that belongs to a field of the page.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, what: str, todo: str = ""):
        super().__init__(what, todo, path=field)
        self.field = field


def read_question(tree: object) -> Question:
    """The question of a request.

    Raises:
        WrongField: the first field that is wrong.
    """
    if not isinstance(tree, dict):
        raise WrongField("place", "the question is no JSON object", "send the fields of the form")
    try:
        return Question.model_validate(tree)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors(include_url=False)[0])
        field = str(first["loc"][0])
        what, todo = words(str(first["type"]), first, _form().get(field, {}), {}, field)
        raise WrongField(field, what, todo) from None


@cache
def _form() -> dict[str, Any]:
    """The form's fields as a JSON schema, those that may be empty as what they hold; made once."""
    found = Question.model_json_schema()["properties"].items()
    return {name: {**part, **part.get("anyOf", [{}])[0]} for name, part in found}


def to_scenario(question: Question, folder: Path) -> Scenario:
    """The resolved scenario of a question.

    Args:
        folder: where an uploaded config is kept.

    Raises:
        WrongField: with the field at fault and the message of the command line.
    """
    try:
        tree = _tree(question, folder)
        scenario = resolve(Scenario.model_validate(tree))
        policies = tuple(p for text in question.policies for p in parse_policies(text))
        return resolve(apply_all(scenario, policies))
    except WrongField:
        raise
    except InputError as error:
        raise WrongField(field_of(error.path), error.what, error.todo) from None
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(step) for step in first["loc"])
        raise WrongField("gpus", f"{path}: {first['msg']}") from None


def field_of(path: str) -> str:
    """The field of the page where an error at a path of the scenario belongs."""
    for start, field in FIELDS.items():
        if path.startswith(start):
            return field
    return path if path in Question.model_fields else "gpus"


def _tree(question: Question, folder: Path) -> dict[str, Any]:
    """The scenario as it would be written."""
    node = load_node(NODE)
    name, model = _architecture(question, folder)
    if question.beside and question.beside not in arch.names():
        raise _unknown(question.beside, "beside")
    at, grid = _place(question.place)
    gpus = question.gpus // node.gpus * node.gpus
    if gpus != question.gpus:
        raise WrongField(
            "gpus",
            f"{question.gpus} GPUs do not fill servers of {node.gpus}",
            f"give a multiple of {node.gpus}, for example {gpus}",
        )
    work = _training if question.work == "training" else _serving
    single = question.work == "serving" and question.has_objectives
    return {
        "name": "what-if",
        "question": f"What do {gpus:,} H100 do to the grid at {question.place}?",
        "horizon_h": REQUESTS_H if single else HORIZON_H,
        "sites": [
            {
                "name": "campus",
                "at": at,
                "cluster": {"gpus": gpus, "node": NODE},
                "facility": {"pue_design": question.pue},
                "workloads": [
                    {"name": question.work, "arch": name, **work(question, name, model, node)}
                ],
            }
        ],
        "grid": grid,
    }


def _place(place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A zone of the United States, or a bus of the synthetic Texas."""
    words = place.split()
    if words and words[0].casefold() == "bus":
        if len(words) != 2 or not words[1].isdecimal() or len(words[1]) > 9:
            raise WrongField("place", f"{place!r} is no bus", "write bus and its number")
        return {"bus": int(words[1])}, {"kind": "nodal", "case": TEXAS_CASE, "samples": 16}
    try:
        zone = resolve_zone(us_states(), place).name
    except InputError as error:
        raise WrongField("place", error.what, error.todo) from None
    return {"zone": zone}, {"kind": "zonal", "samples": 32, "hosting": False}


def _architecture(question: Question, folder: Path) -> tuple[str, Architecture]:
    """A model of the zoo by name, or an uploaded config under its hash."""
    if question.config is None:
        if question.arch not in arch.names():
            raise _unknown(question.arch, "arch")
        return question.arch, arch.load(question.arch)
    _check_config(question.config)
    digest = hashlib.sha256(question.config.encode()).hexdigest()[:16]
    path = folder / f"{CONFIG}{digest}.json"
    path.write_text(question.config, encoding="utf-8")
    try:
        return str(path), arch.load(str(path))
    except InputError as error:
        raise WrongField("config", _placed(error), error.todo) from None


def _unknown(name: str, field: str) -> WrongField:
    error = UnknownNameError("architecture", name, arch.names())
    return WrongField(field, error.what, error.todo)


def _placed(error: InputError) -> str:
    """What is wrong with an uploaded config, with its line and field but not our name for it."""
    line = f"line {error.place.line}" if error.place and error.place.line else ""
    return ": ".join(part for part in (line, error.path, error.what) if part)


def _check_config(text: str) -> None:
    """Refuse an uploaded text that is no JSON object, or deeper than a config is."""
    if _depth(text) > MAX_DEPTH:
        raise WrongField(
            "config", f"is nested deeper than {MAX_DEPTH} levels", "give a config.json"
        )
    try:
        tree = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise WrongField("config", f"is no JSON: {error}", "give a config.json") from None
    if not isinstance(tree, dict):
        raise WrongField("config", "is not an object", "give a config.json")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _depth(text: str) -> int:
    """Deepest nesting of brackets outside strings; cheap, before the text is parsed."""
    deepest = depth = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            escaped, quoted = (not escaped and letter == "\\"), (escaped or letter != '"')
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def _training(question: Question, _name: str, model: Architecture, node: Node) -> Mapping[str, Any]:
    """A job of 2 hours' worth and more, in the best layout that is found."""
    batch = max(4_194_304, BATCH_TOKENS_PER_GPU * question.gpus)
    chosen: dict[str, Any]
    if question.layout is not None:
        chosen = {"layout": question.layout.model_dump(), "recompute": "full"}
    else:
        best = _best_setup(model, node, question.gpus, batch)
        layout = best.layout
        chosen = {
            "layout": {
                "tp": layout.tp,
                "pp": layout.pp,
                "dp": layout.dp,
                "ep": layout.ep,
                "zero": layout.zero,
                "virtual_stages": layout.virtual_stages,
            },
            "recompute": best.recompute,
            "micro_batch_sequences": best.micro_batch_sequences,
        }
    return {"kind": "training", "tokens": 1e13, "global_batch_tokens": batch, **chosen}


@lru_cache(maxsize=64)
def _best_setup(model: Architecture, node: Node, gpus: int, batch_tokens: int) -> TrainingSetup:
    """The fastest layout; remembered, since the search is most of an answer's time.

    Raises:
        CapacityError: none fits.
    """
    return best_training(model, node, gpus, global_batch_tokens=batch_tokens).setup


def _serving(question: Question, name: str, model: Architecture, node: Node) -> Mapping[str, Any]:
    """A fleet at a share of its saturation, on the fewest GPUs that hold the model.

    Fluid, or request by request where there are objectives to be met.
    """
    tp = _least_tp(model, node)
    lengths = {"kind": "empirical", "name": "azure-conv-2023"}
    tree: dict[str, Any] = {
        "kind": "serving",
        "layout": {"tp": tp},
        "fidelity": "fluid",
        "requests": {"kind": "poisson", "rate_per_s": 1.0, "lengths": lengths},
        "warmup_s": 0,
    }
    spec = ServingSpec.model_validate(tree | {"arch": name})
    saturation = CapCosts(spec, node, None).curve(None).saturation_per_s
    rate = question.busy * saturation * (question.gpus // tp)
    tree["requests"]["rate_per_s"] = rate
    if question.has_objectives:
        objectives = {"slo_ttft_s": question.ttft_s, "slo_tpot_s": question.tpot_s}
        everyone = {"name": "all", "share_frac": 1.0, **objectives}
        tree |= {"fidelity": "cells", "classes": [everyone], "warmup_s": WARMUP_S}
    return tree


def _least_tp(model: Architecture, node: Node) -> int:
    missing = "one server does not hold it"
    for tp in (1, 2, 4, 8):
        try:
            ReplicaCost(model, LayoutSpec(tp=tp).to_layout(), node)
        except CapacityError as error:
            missing = error.what
        except InputError:
            continue
        else:
            return tp
    raise WrongField("arch", missing, "choose a smaller model")
