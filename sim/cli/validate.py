"""`flopgrid validate`: predicted against measured serving rows."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sim.units import three_digits


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "validate",
        help="predicted against measured serving rows",
        description="Errors of the cost model on measured rows, the worst ten first. Without "
        "--rows: the published sample that ships, and a gate: exit code 1 where a score is "
        "worse than the committed one by more than 10 %.",
    )
    parser.add_argument("--rows", type=Path, metavar="FILE.csv", help="measured rows")
    parser.add_argument("--configs", type=Path, metavar="DIR", help="model configs of the rows")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write scatter figures there")
    parser.add_argument(
        "--training", action="store_true", help="published training runs instead of serving rows"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle_validate)


def handle_validate(args: argparse.Namespace) -> int:
    """Compare and print: the given rows, or the sample that ships."""
    from sim.cli.text import to_json

    if args.training:
        return _training(as_json=args.json)
    from sim.validation.rows import read_rows, shipped_rows
    from sim.validation.score import committed, compare, gate

    is_shipped = args.rows is None
    rows = shipped_rows() if is_shipped else read_rows(args.rows)
    found = compare(rows, args.configs)
    found["gate"] = gate(found["summary"], committed("shipped")) if is_shipped else []
    if args.figures is not None:
        from sim.report.validation_figure import scatter_figures

        for path in scatter_figures(found, args.figures):
            print(f"wrote {path}", file=sys.stderr)
    if args.json:
        print(to_json(found))
    else:
        _print(found, is_shipped=is_shipped)
    return 1 if found["gate"] else 0


def _training(*, as_json: bool) -> int:
    """Published training runs and clusters, the misses too."""
    from sim.cli.text import to_json
    from sim.validation import training_clusters as failures
    from sim.validation import training_hours as hours
    from sim.validation import training_misses as misses
    from sim.validation import training_runs as runs
    from sim.validation import training_steps as steps

    scores, clusters, rates = runs.score_runs(), failures.score_clusters(), steps.score_steps()
    alone = hours.score_hours(scores, rates)
    if as_json:
        found = {
            "runs": runs.to_json(scores),
            "hours": hours.hours_json(alone),
            "steps": steps.steps_json(rates),
            "clusters": failures.clusters_json(clusters),
        }
        print(to_json(found))
        return 0
    print("\n".join(runs.table_lines(scores)))
    print(
        "\nNo constant was fitted to these runs. `seen`: what the model counts, or the layout "
        "assumed,\nwas chosen with the errors of these rows known (last on 2026-11-24); `unseen`: "
        "nothing was\nchosen for them."
    )
    print("\n".join(runs.sample_lines(scores)))
    print("\nMisses, and what is known of their cause:")
    print("\n".join(misses.miss_lines(scores)))
    print(
        "\nHours without a step. Implied: the step that the hours mean at the model's goodput, and "
        "the\ngoodput that they mean at the model's step; measured: steps by themselves, same GPU, "
        "like size:"
    )
    print("\n".join(hours.hours_lines(alone)))
    print("\nSteps alone, tokens per second and GPU:")
    print("\n".join(steps.step_lines(rates)))
    print("\nFailures of other clusters, from the rates of the Llama-3 run and the other clusters:")
    print("\n".join(failures.cluster_lines(clusters)))
    return 0


def _print(found: dict[str, Any], *, is_shipped: bool) -> None:
    print("Worst ten rows:")
    _table(found["worst"], ("set", "id", "model", "measure", "measured", "predicted", "error_frac"))
    print("\nErrors by set; model medians is the score (the median of the models' medians):")
    rows = [
        {"set": name, "measure": measure, **values}
        for name, measures in found["summary"].items()
        for measure, values in measures.items()
    ]
    _table(rows, tuple(rows[0]))
    print("\nErrors by model:")
    _table(found["models"], tuple(found["models"][0]) if found["models"] else ())
    reasons = Counter(entry["why"] for entry in found["skipped"])
    print(f"\n{len(found['skipped'])} measures skipped" + (":" if reasons else ""))
    for why, count in reasons.most_common():
        print(f"  {count}  {why}")
    if found["sensitivity"]:
        print("\nChange of the prediction at both ends of prompt lengths that are not published:")
        _table(found["sensitivity"], ("measure", "rows", "at_low_frac", "at_high_frac"))
    print(
        "\nThe constants were fitted on rows such as these. Errors on models left out of the fit:"
    )
    _table(found["left_out"], tuple(found["left_out"][0]))
    print("\nWhat the reference rows cannot tell:")
    for number, text in enumerate(found["limits"], 1):
        print(f"  {number}. {text}")
    if is_shipped:
        print("\nGate (committed scores + 10 %):", "; ".join(found["gate"]) or "kept")


HEADS = {
    "median_abs_error_frac": "median", "median_of_model_medians": "model medians",
    "p90_abs_error_frac": "p90", "bias_frac": "bias", "error_frac": "error",
    "coverage_frac": "coverage", "in_sample": "in the fit", "left_out": "left out",
    "left_out_p90": "p90", "left_out_bias": "bias", "floor_repeats": "equal runs",
    "floor_levels": "sweeps", "at_low_frac": "shortest",
    "at_high_frac": "longest",
}  # fmt: skip
SHARES = {*HEADS, "aim"}


def _table(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    from sim.cli.text import table

    if rows:
        lines = [[_cell(key, row[key]) for key in keys] for row in rows]
        print(table([HEADS.get(key, key) for key in keys], lines))


def _cell(key: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{three_digits(100 * value)}%" if key in SHARES else f"{value:.4g}"
    return str(value)
