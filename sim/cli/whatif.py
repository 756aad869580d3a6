"""`flopgrid whatif`."""

from __future__ import annotations

import argparse
from typing import Any

from sim.cli.run import add_scenario_options, progress
from sim.cli.text import number


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "whatif",
        help="compare policies with the same scenario without them",
        description="Run a scenario without and with each policy (same seed), print the change.",
        epilog="policies: power-cap:gpu_w=500   spread:states=4   spread:zones=TX-ERCOT+VA+OH",
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="a scenario file (YAML)")
    add_scenario_options(parser)
    parser.add_argument(
        "--policy",
        action="append",
        required=True,
        metavar="KIND[:key=value,...]",
        help="a policy; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Compare and print."""
    from sim.cli.text import table, to_json
    from sim.policy import parse_policy
    from sim.policy.compare import compare
    from sim.scenario.run import load_scenario, located

    policies = [parse_policy(text) for text in args.policy]
    document, scenario = load_scenario(args.scenario, args.overrides)
    seed = scenario.seeds[0] if args.seed is None else args.seed
    with located(document):
        found = compare(scenario, policies, seed, progress())
    if args.json:
        print(to_json(found))
        return 0
    header = ["figure", "baseline", *(policy.label for policy in policies)]
    rows = [
        [key, number(value), *(_changed(row, key) for row in found["policies"])]
        for key, value in found["baseline"].items()
    ]
    print(table(header, rows))
    for row in found["policies"]:
        for line in row["assumes"]:
            print(f"assumed for {row['kind']}: {line}")
    return 0


def _changed(row: dict[str, Any], key: str) -> str:
    """The figure under the policy and its change."""
    delta = row["delta"].get(key)
    if delta is None:
        return number(row["figures"].get(key))
    sign = "+" if delta > 0 else ""
    return f"{number(row['figures'][key])} ({sign}{number(delta)})"
