"""The tables in the package are those that the builder makes from the facts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sim.datum import data, data_file, read_table
from sim.grid.regions.case import balancing_areas
from sim.grid.regions.hourly import read_hours

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "sim" / "data" / "grid" / "regions"
LIMIT_BYTES = 8_000_000


@pytest.mark.facts
def test_the_builder_makes_the_same_tables(facts: Path, tmp_path: Path) -> None:
    tool = ROOT / "tools" / "build_region_tables.py"
    subprocess.run([sys.executable, str(tool), str(facts), str(tmp_path)], check=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert "mix_2022.parquet" in names
    for name in names:
        made, kept = tmp_path / name, FOLDER / name
        if name.endswith(".csv"):
            assert made.read_text() == kept.read_text(), name
        else:
            assert pq.read_table(made).equals(pq.read_table(kept), check_metadata=True), name


def test_tables_name_their_source_and_stay_small() -> None:
    for path in FOLDER.iterdir():
        if path.suffix == ".parquet":
            assert read_hours(f"grid/regions/{path.name}").source
        elif path.suffix == ".csv":
            assert data_file(f"grid/regions/{path.name}").read_text().startswith("#")
            assert read_table(f"grid/regions/{path.name}")
        else:
            assert all(
                entry.source and entry.as_of for entry in data(f"grid/regions/{path.name}").values()
            )
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < LIMIT_BYTES


def test_shares_of_the_areas_of_a_state_sum_to_one() -> None:
    total: dict[str, float] = {}
    for row in read_table("grid/regions/balancing_areas.csv"):
        total[row["state"]] = total.get(row["state"], 0.0) + float(row["load_share"])
    assert all(share == pytest.approx(1.0, abs=1e-3) for share in total.values())
    ercot = [area.name for area in balancing_areas() if area.interconnection == "ercot"]
    assert ercot == ["p60", "p61", "p62", "p63", "p64", "p65", "p67"]
