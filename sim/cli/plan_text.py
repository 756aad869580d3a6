"""The answer of `flopgrid plan serving` as text."""

from __future__ import annotations

from typing import Any

from sim.cli.text import number, table

Row = dict[str, Any]
WORDS = {"gpus": "fewest GPUs", "usd": "least USD", "j-per-token": "least energy"}


def plan_text(found: Row, top: int) -> str:
    """The best by each objective, the layouts with the reasons why they lose, and the rest."""
    job = found["job"]
    limits = [
        f"{key} {job[f'{key}_s']:g} s" for key in ("ttft", "tpot") if job[f"{key}_s"] is not None
    ]
    rate = "" if job["requests_per_s"] is None else f", {job['requests_per_s']:g} requests/s"
    gpus = "" if job["gpus"] is None else f", at most {job['gpus']} GPUs"
    slo = f"mean {' and '.join(limits)}" if limits else "no SLO"
    lines = [
        f"{job['arch']}: {job['isl']} + {job['osl']} tokens{rate}{gpus}; {slo}",
        *(f"  {_word(job, name):<13}{_fleet(row)}" for name, row in found["best"].items()),
    ]
    if found["disaggregated"]:
        lines.append("prefill and decode in pools of their own")
        lines += [
            f"  {WORDS[name]:<13}{_split(row)}" for name, row in found["disaggregated"].items()
        ]
    lines += ["", _layouts(found["layouts"][:top])]
    more = len(found["layouts"]) - top
    if more > 0:
        lines.append(f"and {more} layouts more (--top)")
    lines.append(f"left out: {_rejected(found['rejected'])}")
    lines += ["", "assumptions", *(f"  {line}" for line in found["assumptions"])]
    return "\n".join(lines)


def _word(job: Row, objective: str) -> str:
    """Without a rate, as many requests as can be are served."""
    most = objective == "gpus" and job["requests_per_s"] is None
    return "most per GPU" if most else WORDS[objective]


def _mark(row: Row) -> str:
    return row["gpu"] if row["calibrated"] else f"{row['gpu']} (UNCALIBRATED)"


def _ways(row: Row) -> str:
    ways = [f"{key}{row[key]}" for key in ("tp", "pp", "dp", "ep") if row[key] > 1 or key == "tp"]
    return " ".join(ways)


def _fleet(row: Row) -> str:
    many = "replica" if row["replicas"] == 1 else "replicas"
    fleet = f"{row['gpus']} x {_mark(row)}: {row['replicas']} {many} {_ways(row)}"
    load = f"{row['precision']}, batch {row['batch']}; {row['requests_per_s']:.4g} requests/s"
    return f"{fleet} {load}, {_measures(row)}"


def _split(row: Row) -> str:
    first, then = row["prefill"], row["decode"]
    prefill = f"prefill {first['replicas']} x {_ways(first)} {first['gpu']}"
    decode = f"decode {then['replicas']} x {_ways(then)} {then['gpu']}"
    return (
        f"{row['gpus']} GPUs, {row['precision']}: {prefill} ({first['busy_frac']:.0%} busy), "
        f"{decode} (batch {then['batch']:.0f}); {_measures(row)}"
    )


def _measures(row: Row) -> str:
    usd = row["usd_per_million_output_tokens"]
    price = "" if usd is None else f", {usd:.3g} USD per million tokens"
    energy = f"{row['energy_j_per_output_token']:.3g} J/token"
    return f"ttft {row['ttft_s']:.3g} s, tpot {row['tpot_s'] * 1e3:.3g} ms, {energy}{price}"


def _layouts(rows: list[Row]) -> str:
    head = ["layout", "format", "gpu", "batch", "GPUs", "req/s", "ttft s", "tpot ms", "J/token"]
    head += ["USD/Mtok", "why it loses"]
    cells = [
        [
            _ways(row),
            row["precision"],
            row["gpu"],
            row["batch"],
            row["gpus"],
            number(row["requests_per_s"]),
            f"{row['ttft_s']:.3f}",
            f"{row['tpot_s'] * 1e3:.1f}",
            number(row["energy_j_per_output_token"]),
            number(row["usd_per_million_output_tokens"]),
            row["loses_by"],
        ]
        for row in rows
    ]
    return table(head, cells)


def _rejected(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} for {why}" for why, count in counts.items()) or "none"
