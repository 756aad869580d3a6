"""The answers of `flopgrid cost` as text."""

from __future__ import annotations

from typing import Any

from sim.cli.text import number, table
from sim.units import gib, si

Row = dict[str, Any]


def head_text(found: Row) -> str:
    """What was asked, and for one step its totals."""
    gpu, layout = found["gpu"], found["layout"]
    ways = ", ".join(f"{key} {value}" for key, value in layout.items() if key != "gpus")
    mark = "" if gpu["calibrated"] else " (UNCALIBRATED)"
    asked = f"{found['arch']} on {layout['gpus']} x {gpu['name']}{mark}, {ways}"
    asked += f", {found['dtype']}, {found['engine']}"
    if "sweep" in found:
        return asked
    step = f"{found['phase']} step: {found['batch']} sequences, {found['new_tokens']} new tokens"
    step += f" each on {found['context']} cached ones"
    lines = [f"  {name:<12}{text}" for name, text in _totals(found).items()]
    return "\n".join([asked, step, *lines])


def _totals(found: Row) -> dict[str, str]:
    speed = si(found["tokens_per_s"], "token/s", 4)
    lines = {
        "time": f"{found['time_s'] * 1e3:.4g} ms, {speed}",
        "power": f"{found['power_w_per_gpu']:.0f} W a GPU, clock {found['clock_frac']:.0%}",
        "energy": f"{found['energy_j']:.4g} J, {found['energy_j_per_token']:.4g} J per token",
        "work": _work(found),
        "utilisation": f"{found['mfu']:.1%} of the bf16 peak, "
        f"{found['hbm_utilisation']:.1%} of the HBM bandwidth",
        "memory": _memory(found["memory"]),
        "limits": ", ".join(f"{k} {v:.0%}" for k, v in found["limits_share_of_time"].items()),
    }
    if found["usd_per_million_tokens"] is not None:
        rent = f"at {found['usd_per_gpu_h']:g} USD a GPU and hour"
        lines["price"] = f"{found['usd_per_million_tokens']:.3g} USD per million tokens {rent}"
    return lines


def _work(found: Row) -> str:
    parts = [si(found["flops"], "FLOP", 4), f"{si(found['hbm_bytes'], 'B', 4)} of HBM"]
    if found["link_bytes"]:
        parts.append(f"{si(found['link_bytes'], 'B', 4)} over links")
    return f"{', '.join(parts)}; {found['intensity_flop_per_byte']:.3g} FLOP/B"


def _memory(held: Row) -> str:
    used = f"weights {gib(held['weight_bytes_per_gpu'])}"
    text = f"{used} of {gib(held['usable_bytes_per_gpu'])} a GPU"
    room = held["cache_tokens_of_replica"]
    if room is None:
        return f"{text}; the cache does not grow"
    return f"{text}; {held['used_tokens']:,} of {room:,} tokens of cache in use"


def operations_text(found: Row) -> str:
    """One line an operation."""
    head = ["operation", "kernel", "format", "layers", "ms", "time", "limit"]
    head += ["FLOP/B", "TFLOP/s", "GB/s", "W", "mJ"]
    rows = [
        [
            op["name"],
            op["kernel"],
            op["dtype"],
            op["layers"],
            f"{op['time_s'] * 1e3:.4f}",
            f"{op['time_share']:.1%}",
            op["limit"],
            number(op["intensity_flop_per_byte"]),
            number(op["flops_per_s"] / 1e12),
            number(op["bytes_per_s"] / 1e9),
            f"{op['power_w']:.0f}",
            f"{op['energy_j'] * 1e3:.2f}",
        ]
        for op in found["operations"]
    ]
    pipeline = "in a pipeline: time of one part of the batch through all stages\n"
    note = "of one GPU; an operation's W is its energy over its time, and the power limit acts\n"
    shown = f"\n{pipeline}" if found["layout"]["pp"] > 1 else ""
    return f"\n{table(head, rows)}\n{note}on the mean of the step{shown}"


def sweep_text(rows: list[Row]) -> str:
    """One line a batch size, context or cap."""
    head = ["batch", "context", "cap W", "ms", "token/s", "W/GPU", "clock", "J/token", "of peak"]
    head += ["of HBM", "limit"]
    cells = [
        [
            row["batch"],
            row["context"],
            f"{row['cap']:.0f}",
            f"{row['time_s'] * 1e3:.3f}",
            number(row["tokens_per_s"]),
            f"{row['power_w_per_gpu']:.0f}",
            f"{row['clock_frac']:.0%}",
            number(row["energy_j_per_token"]),
            f"{row['mfu']:.1%}",
            f"{row['hbm_utilisation']:.1%}",
            row["limit"],
        ]
        for row in rows
    ]
    return f"\n{table(head, cells)}"


def assumptions_text(lines: list[str]) -> str:
    """The assumptions without their sources, which the JSON answer holds."""
    short = [line.split(" [", maxsplit=1)[0].replace(" 1 (", " (") for line in lines]
    return "\n".join(["\nassumptions (sources: --json)", *(f"  {line}" for line in short)])
