"""Measured serving rows: reading them, and the layout and precision each one ran with."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Final

from sim import arch
from sim.arch.blocks import FULL, Attention
from sim.cost.layout import Layout
from sim.datum import data_file
from sim.errors import InputError, Place
from sim.flops import Precision, precision

MEASURES: Final = (
    "ttft_ms",
    "tpot_mean_ms",
    "itl_p50_ms",
    "out_tokens_per_s",
    "power_w_per_gpu",
    "energy_j_per_output_token",
)
COLUMNS: Final = (
    "id",
    "set",
    "model",
    "config",
    "n_gpus",
    "tp",
    "pp",
    "ep",
    "dp",
    "weight_dtype",
    "engine",
    "task",
    "isl",
    "isl_status",
    "osl",
    "running_batch",
    "load",
)


class CannotPredictError(Exception):
    """A row that is skipped; the message says why."""


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One measured run.

    Attributes:
        layout: None if the row does not say.
        isl, osl: prompt and output tokens; isl None if unknown.
        running: sequences running (or the client's concurrency); None if not given.
        measured: by measure, those that the row has.
    """

    id: str
    set: str
    model: str
    config: str
    gpu: str
    layout: Layout | None
    weight_dtype: str
    engine: str
    task: str
    isl: float | None
    isl_is_assumed: bool
    osl: float | None
    running: float | None
    load: str
    measured: dict[str, float] = field(default_factory=dict)


SHIPPED: Final = "validation/serving_h100.csv"


def shipped_rows() -> list[MeasuredRow]:
    """The sample of published rows that flopgrid ships; models come from the zoo."""
    return parse_rows(data_file(SHIPPED).read_text("utf-8").splitlines(), SHIPPED)


def read_rows(path: Path) -> list[MeasuredRow]:
    """Rows of a file in the form of `serving_h100.csv`.

    Raises:
        InputError: the file cannot be read, lacks columns, or holds a bad number.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be read: {why}", "give a readable CSV file") from error
    return parse_rows(text.splitlines(), str(path))


def parse_rows(lines: Iterable[str], file: str) -> list[MeasuredRow]:
    """Rows of CSV text; lines that start with `#` are notes."""
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(
            f"{file}: lacks the columns {', '.join(missing)}",
            "give rows in the form of serving_h100.csv",
        )
    return [_row(record, Place(file, reader.line_num)) for record in reader]


def _row(record: dict[str, str], place: Place) -> MeasuredRow:
    def number(name: str) -> float | None:
        text = record.get(name) or ""
        if not text:
            return None
        try:
            return float(text)
        except ValueError as error:
            raise InputError(f"{name}: {text!r} is not a number", "mend the row").at(
                place
            ) from error

    return MeasuredRow(
        id=record["id"],
        set=record["set"],
        model=record["model"],
        config=record["config"],
        gpu=record.get("gpu") or "h100-sxm",
        layout=_layout(number("n_gpus"), *(number(k) for k in ("tp", "pp", "ep", "dp"))),
        weight_dtype=record["weight_dtype"],
        engine=record["engine"].split()[0] if record["engine"] else "vllm",
        task=record["task"],
        isl=number("isl"),
        isl_is_assumed=record["isl_status"] != "published",
        osl=number("osl"),
        running=number("running_batch"),
        load=record["load"],
        measured={k: value for k in MEASURES if (value := number(k)) is not None},
    )


def _layout(
    n_gpus: float | None,
    tp: float | None,
    pp: float | None,
    ep: float | None,
    dp: float | None,
) -> Layout | None:
    """The layout; tp 1 with ep = n GPUs says nothing of attention: taken as tp = ep."""
    if n_gpus is None or tp is None:
        return None
    gpus, stages, experts = int(n_gpus), int(pp or 1), int(ep or 1)
    ranks = int(dp or 1)
    ways = gpus // (stages * ranks)
    if ways < 1 or ways * stages * ranks != gpus or int(tp) not in {1, ways}:
        return None
    return Layout(tp=ways, pp=stages, dp=ranks, ep=min(experts, ways * ranks))


@cache
def architecture(config: str, folder: Path | None) -> arch.Architecture:
    """The model of a row: a file of `folder`, else a zoo name or id.

    Raises:
        InputError: neither knows it.
    """
    if folder is not None and (folder / f"{config}.json").is_file():
        return arch.load(str(folder / f"{config}.json"))
    return arch.load(config.replace(".text", ""))


def without_windows(model: arch.Architecture) -> arch.Architecture:
    """The same model where every token sees all others, if all of its layers have one window.

    TensorRT engines keep such a window only if told (`max_attention_window`, by default none), and
    the commands of NVIDIA's page of v0.17 do not tell it. (Mistral 7B with prompts of 20,000
    tokens has Llama-3.1-8B's throughput there, not the 2.4 times that its window would give.)
    Windows beside full layers stay, as chunks do: the PyTorch backend takes them from the model
    (`attention_window_size` in tensorrt_llm/_torch/models/modeling_gemma3.py; today also
    Mistral's, in modeling_mistral.py, but that page is of engines).
    """
    reaches = {block.reach for block, _, _ in model.blocks() if isinstance(block, Attention)}
    if len(reaches) != 1 or next(iter(reaches)).kind != "window":
        return model
    groups = (
        arch.LayerGroup(arch.Layer(tuple(map(_seeing_all, group.layer.blocks))), group.count)
        for group in model.layers
    )
    return replace(model, layers=tuple(groups))


def _seeing_all(block: arch.Block) -> arch.Block:
    return replace(block, reach=FULL) if isinstance(block, Attention) else block


def row_precision(row: MeasuredRow) -> Precision:
    """Formats of a row; TensorRT-LLM's published fp8 figures keep the cache in fp8 too."""
    if row.weight_dtype == "fp8" and row.set == "trtllm":
        return precision("fp8-kv8")
    return precision(row.weight_dtype)
