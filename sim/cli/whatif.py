"""`flopgrid whatif`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sim.cli.run import add_scenario_options, progress, seed
from sim.cli.text import number

EXIT_NOT_AS_EXPECTED = 1


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "whatif",
        help="compare policies with the same scenario without them",
        description="Run a scenario without and with each policy (same seeds), print the change.",
        epilog="policies that hold together are joined with ';'; at=SITE+SITE gives one to some "
        "sites. "
        "flopgrid whatif --list says which policies there are and what their knobs mean.",
    )
    parser.add_argument(
        "scenario", metavar="SCENARIO", nargs="?", help="a scenario or a study (YAML)"
    )
    add_scenario_options(parser)
    parser.add_argument(
        "--seeds",
        type=lambda text: [seed(word) for word in text.split(",")],
        metavar="N,N,...",
        help="several seeds: differences come with their 95 %% interval",
    )
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="KIND[:key=value,...][;...]",
        help="a policy, or several that hold together; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="list the policies, and stop")
    parser.add_argument(
        "--out",
        type=Path,
        help="also write report.html, its figures and whatif.json there",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Compare and print."""
    from sim.cli.text import to_json
    from sim.errors import InputError
    from sim.policy import parse_policies
    from sim.policy.compare import compare
    from sim.policy.study import Study, is_study
    from sim.scenario.run import load_scenario, located

    if args.list:
        return _list(args.json)
    study = Study(args.scenario) if args.scenario and is_study(args.scenario) else None
    combinations = [*(study.combinations if study else ()), *map(parse_policies, args.policy)]
    if not combinations:
        raise InputError(
            "a scenario and at least one policy are needed",
            "flopgrid whatif SCENARIO --policy KIND:key=value (see flopgrid whatif --list)",
        )
    path = study.baseline if study else args.scenario
    document, scenario = load_scenario(path, args.overrides)
    seeds = args.seeds or ([args.seed] if args.seed is not None else None)
    seeds = seeds or (study.file.seeds if study else scenario.seeds[:1])
    with located(document):
        found = compare(scenario, combinations, seeds, progress())
    misses = study.misses(found) if study and not args.policy else []
    if study:
        found |= {"question": study.file.question, "misses": misses}
    if args.out:
        _write(found, args.out)
    if args.json:
        print(to_json(found))
    else:
        _print(found)
    for line in misses:
        print(f"not as expected: {line}", file=sys.stderr)
    return EXIT_NOT_AS_EXPECTED if misses else 0


def _list(as_json: bool) -> int:
    from sim.cli.text import to_json
    from sim.policy import policy_kinds

    kinds = policy_kinds()
    if as_json:
        print(
            to_json(
                {
                    name: {
                        "says": kind.says,
                        "metric": kind.metric,
                        "assumes": list(kind.assumes),
                        "parameters": {
                            key: {
                                "says": p.says,
                                "unit": p.unit,
                                "default": p.default,
                                "low": p.low,
                                "high": p.high,
                                "choices": list(p.choices),
                                "source": p.source,
                            }
                            for key, p in kind.parameters.items()
                        },
                    }
                    for name, kind in kinds.items()
                }
            )
        )
        return 0
    for name, kind in sorted(kinds.items()):
        print(f"{name}: {kind.says}; look at {kind.metric}")
        for key, parameter in kind.parameters.items():
            source = f" [{parameter.source}]" if parameter.source else ""
            print(f"    {key}: {parameter.describe()}{source}")
    return 0


def _write(found: dict[str, Any], folder: Path) -> None:
    """The answer as JSON, its figures with their numbers, and a page of them."""
    from sim.cli.text import to_json
    from sim.report.policy_page import write_policies

    write_policies(found, folder)
    (folder / "whatif.json").write_text(to_json(found) + "\n", encoding="utf-8")


def _print(found: dict[str, Any]) -> None:
    from sim.cli.text import table

    if "question" in found:
        print(found["question"])
    header = ["figure", "baseline", *(row["label"] for row in found["policies"])]
    rows = [
        [key, number(value), *(_changed(row, key) for row in found["policies"])]
        for key, value in found["baseline"].items()
    ]
    print(table(header, rows))
    if len(found["seeds"]) > 1:
        print(f"means over {len(found['seeds'])} seeds; [95 % interval of the change]")
    for row in found["policies"]:
        if row["why"]:
            print(f"no effect: {row['why']}")
    told = {line: row["kind"] for row in reversed(found["policies"]) for line in row["assumes"]}
    for line, kind in reversed(told.items()):
        print(f"assumed for {kind}: {line}")


def _changed(row: dict[str, Any], key: str) -> str:
    """The figure under the policy and its change, with the interval over seeds."""
    delta = row["delta"].get(key)
    if delta is None:
        return number(row["figures"].get(key))
    if not delta:
        return "="
    sign = "+" if delta > 0 else ""
    bounds = row["interval"].get(key)
    spread = f" [{number(bounds[0])}, {number(bounds[1])}]" if bounds else ""
    return f"{number(row['figures'][key])} ({sign}{number(delta)}{spread})"
