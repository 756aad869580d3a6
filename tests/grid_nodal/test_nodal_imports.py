"""Networks of pandapower and PyPSA: flows equal to their own tool's, every fault with its place.

Small networks and the answers of their own tool are recorded (`tools/record_grid_oracles.py`).
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nodal_cases import need_extra, recorded

from sim.errors import InputError
from sim.grid.nodal import commands
from sim.grid.nodal.cases import case_hashes, load_case
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.imports.pandapower import from_pandapower, read_pandapower
from sim.grid.nodal.imports.pypsa import from_pypsa, read_pypsa
from sim.grid.nodal.operating import base_point, demand_mw
from sim.grid.nodal.tables import Floats, Network

FOLDER = Path(__file__).parent / "imports"
SMALL = FOLDER / "pandapower_small.json"
FOLDER_OF_PYPSA = FOLDER / "pypsa_small"


def own_flows(network: Network) -> Floats:
    """Flows of the dispatch that the file holds, without scaling.

    What does not balance leaves at the reference bus, as at the external grid of pandapower; so
    the law of every bus is for balanced points only and is not asked here.
    """
    output = np.where(network.generator_on, network.generators.output_mw, 0.0)
    injection = network.at_bus(network.generators.bus, output) - demand_mw(network)
    return DcGrid(network).flows(injection)


# -- pandapower


def test_flows_equal_pandapower() -> None:
    rows = recorded("imports/pandapower_small_flows.csv")
    theirs = [float(row["flow_mw"]) for row in rows]
    assert own_flows(read_pandapower(SMALL)) == pytest.approx(theirs, abs=1e-8)


def test_what_a_pandapower_network_holds() -> None:
    network = read_pandapower(SMALL)
    # buses 4 and 5 are one by a closed switch; the line with an open switch is out
    assert network.buses.number.tolist() == [0, 1, 2, 3, 4]
    assert network.branch_on.tolist() == [True, True, True, False, *[True] * 5]
    assert network.buses.load_mw.tolist() == [0, 60, 45, 30, 0]
    assert (network.buses.shunt_mw[2], network.buses.shunt_mvar[2]) == (0.5, 10.0)
    assert network.branches.rating_mw[1] == pytest.approx(math.sqrt(3) * 230 * 0.6 * 0.9 * 2)
    assert np.isinf(network.branches.rating_mw[2])
    assert network.branches.x_pu[0] == pytest.approx(60 * 0.4 / (230**2 / 100))
    assert network.branches.charging_pu[0] == pytest.approx(
        2 * math.pi * 60 * 9e-9 * 60 * 230**2 / 100
    )
    assert network.generators.max_mw[:2].tolist() == [80, 12]
    assert network.generators.cost[0].points == ((0, 0), (40, 600), (80, 2000))
    assert network.generators.cost[-1].polynomial == (0.0, 20.0, 0.01)
    assert network.buses.longitude_deg is not None
    assert network.buses.longitude_deg[2] == -99
    assert network.dc_lines.received_mw[0] == pytest.approx(10 * 0.98 - 0.1)
    assert "pandapower" in network.source


def test_a_pandapower_file_is_a_case_of_the_command_line() -> None:
    answer = commands.hosting(str(SMALL), bus=[1], security="n1")
    assert answer["buses"][0]["hosting_mw"] > 0
    assert list(case_hashes(str(SMALL))) == [str(SMALL)]


class Table:
    """As much of a data frame as the reader asks for."""

    def __init__(self, columns: dict[str, list[Any]], index: list[Any]):
        self.columns, self.index = list(columns), SimpleNamespace(tolist=lambda: index)
        self._values = columns

    def __getitem__(self, column: str) -> Any:
        values = self._values[column]
        return SimpleNamespace(
            tolist=lambda: values, to_numpy=lambda dtype: np.array(values, dtype=dtype)
        )


def tables_of(path: Path) -> dict[str, Table]:
    """The tables of a pandapower file as a live network has them."""
    found = {}
    for name, entry in json.loads(path.read_text())["_object"].items():
        if isinstance(entry, dict):
            split = json.loads(entry["_object"])
            columns = {c: [row[i] for row in split["data"]] for i, c in enumerate(split["columns"])}
            found[name] = Table(columns, split["index"])
    return found


def test_a_live_pandapower_object_gives_the_same() -> None:
    live = from_pandapower({**tables_of(SMALL), "name": "live", "f_hz": 60.0})
    assert own_flows(live) == pytest.approx(own_flows(read_pandapower(SMALL)), abs=1e-12)
    assert live.name == "pandapower"


def changed(tmp_path: Path, table: str, column: str, value: Any, row: int = 0) -> Path:
    """The small network with one figure changed."""
    content = json.loads(SMALL.read_text())
    split = json.loads(content["_object"][table]["_object"])
    if column not in split["columns"]:
        split["columns"].append(column)
        for cells in split["data"]:
            cells.append(None)
    split["data"][row][split["columns"].index(column)] = value
    content["_object"][table]["_object"] = json.dumps(split)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("line", "from_bus", 77, "line 0: from_bus 77 is not in the bus table"),
        ("line", "x_ohm_per_km", None, "line 0: x_ohm_per_km is missing"),
        ("line", "length_km", "long", "length_km 'long' is no number"),
        ("load", "in_service", "perhaps", "in_service 'perhaps' is not true or false"),
        ("pwl_cost", "points", "steep", "points 'steep'"),
        ("trafo", "vk_percent", 0.0, "reactance 0"),
    ],
)
def test_a_fault_in_a_pandapower_file(
    tmp_path: Path, table: str, column: str, value: Any, words: str
) -> None:
    with pytest.raises(InputError) as error:
        read_pandapower(changed(tmp_path, table, column, value))
    assert words in str(error.value)
    assert "net.json" in str(error.value)


def test_what_is_not_read_is_refused_not_ignored(tmp_path: Path) -> None:
    content = json.loads(SMALL.read_text())
    content["_object"]["trafo3w"] = content["_object"]["trafo"]
    path = tmp_path / "net.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="table trafo3w with 3 rows is not read"):
        read_pandapower(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="not a pandapower network"):
        read_pandapower(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"net\.json:1:2: not JSON"):
        load_case(str(path))
    del content["_object"]["trafo3w"]["_object"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"table trafo.* is not as pandapower writes it"):
        read_pandapower(path)


# -- PyPSA


@pytest.mark.parametrize("hour", [0, 1, 2])
def test_flows_equal_pypsa_at_every_snapshot(hour: int) -> None:
    snapshot = f"2020-01-01 0{hour}:00"
    rows = [r for r in recorded("imports/pypsa_small_flows.csv") if r["snapshot"] == snapshot]
    assert len(rows) == 6
    network = load_case(f"{FOLDER_OF_PYPSA}@{snapshot}")
    point = base_point(DcGrid(network))
    assert point.scale == pytest.approx(1.0)
    assert point.flow_mw == pytest.approx([float(row["flow_mw"]) for row in rows], abs=1e-9)


def test_without_a_name_the_largest_load_is_the_snapshot() -> None:
    network = load_case(str(FOLDER_OF_PYPSA))
    assert "snapshot 2020-01-01 01:00 (largest load)" in network.source
    assert network.buses.load_mw.tolist() == [0, 50, -5, 0, 110]
    assert network.generators.max_mw == pytest.approx([300, 60])
    assert network.generators.min_mw == pytest.approx([30, 0])
    assert network.generators.fuel == ("gas", "wind")
    assert network.generators.cost[0].startup_usd == 500
    assert network.generators.cost[0].polynomial[1] == 20
    assert network.branches.rating_mw.tolist() == [100, 100, 80, 140, 200, 150]
    assert network.branches.tap[4] == 0.97
    assert network.dc_lines.received_mw[0] == pytest.approx(12 * 0.95)
    assert network.buses.shunt_mvar[1] == pytest.approx(1e-4 * 230**2)
    assert network.buses.latitude_deg is not None
    assert network.buses.name == ("a", "b", "c", "d", "e")


def test_a_netcdf_file_gives_the_same(tmp_path: Path) -> None:
    need_extra("xarray", "imports")
    import xarray

    variables: dict[str, Any] = {}
    for file in sorted(FOLDER_OF_PYPSA.glob("*.csv")):
        lines = [line.split(",") for line in file.read_text().splitlines()]
        head, body = lines[0], lines[1:]
        if "-" in file.stem:
            table, figure = file.stem.split("-")
            name = f"{table}_t_{figure}"
            values = np.array([[float(cell) for cell in row[1:]] for row in body])
            variables[name] = (("snapshots", f"{name}_i"), values)
            variables[f"{name}_i"] = ((f"{name}_i",), head[1:])
        elif file.stem == "snapshots":
            variables["snapshots_snapshot"] = (("snapshots",), [row[1] for row in body])
        elif file.stem != "network":
            variables[f"{file.stem}_i"] = ((f"{file.stem}_i",), [row[0] for row in body])
            for i, column in enumerate(head[1:], 1):
                cells: Any = [row[i] for row in body]
                with contextlib.suppress(ValueError):
                    cells = [float(cell) if cell else math.nan for cell in cells]
                variables[f"{file.stem}_{column}"] = ((f"{file.stem}_i",), cells)
    path = tmp_path / "small.nc"
    xarray.Dataset(variables).to_netcdf(path, engine="scipy")
    theirs, ours = load_case(str(FOLDER_OF_PYPSA)), load_case(str(path))
    assert own_flows(ours) == pytest.approx(own_flows(theirs), abs=1e-12)
    assert ours.generators.fuel == theirs.generators.fuel
    with pytest.raises(InputError, match="they run from 2020-01-01 00:00 to 2020-01-01 02:00"):
        read_pypsa(path, "tomorrow")
    path.write_bytes(b"no")
    with pytest.raises(InputError, match="cannot read"):
        read_pypsa(path)


def test_a_live_pypsa_object_gives_the_same() -> None:
    def table(name: str, by_time: bool = False) -> Table:
        path = FOLDER_OF_PYPSA / f"{name}.csv"
        if not path.is_file():
            return Table({}, [])
        lines = [line.split(",") for line in path.read_text().splitlines()]
        columns: dict[str, list[Any]] = {
            column: [row[i] for row in lines[1:]] for i, column in enumerate(lines[0]) if i
        }
        if by_time:
            columns = {name: [float(cell) for cell in cells] for name, cells in columns.items()}
        return Table(columns, [row[0] for row in lines[1:]])

    static = ("buses", "loads", "generators", "lines", "transformers", "links", "storage_units",
              "stores", "shunt_impedances")  # fmt: skip
    live = SimpleNamespace(
        name="live",
        snapshots=[f"2020-01-01 0{h}:00" for h in range(3)],
        **{name: table(name) for name in static},
        **{
            f"{name}_t": {
                f: table(f"{name}-{f}", by_time=True)
                for f in ("p_set", "q_set", "p", "p0", "p_max_pu")
            }
            for name in ("loads", "generators", "links", "storage_units")
        },
    )
    assert own_flows(from_pypsa(live)) == pytest.approx(
        own_flows(load_case(str(FOLDER_OF_PYPSA))), abs=1e-12
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("lines.csv", "l1,a,b,10.0", "l1,a,q,10.0", r"lines\.csv:2: lines 'l1': bus1 'q'"),
        ("lines.csv", "l2,b,c,20.0", "l2,b,c,0", r"lines\.csv:3: lines 'l2': x is 0"),
        ("lines.csv", "l2,b,c,20.0", "l2,b,c,much", "x 'much' is no number"),
        ("loads.csv", "L1,b,50.0,0.0", "L1,b", r"loads\.csv:2: 2 columns among rows with 4"),
        ("links.csv", "k,a,d", "k,a,z", r"links\.csv:2: links 'k': bus1 'z'"),
    ],
)
def test_a_fault_in_a_pypsa_folder_names_file_and_line(
    tmp_path: Path, file: str, old: str, new: str, words: str
) -> None:
    folder = tmp_path / "net"
    shutil.copytree(FOLDER_OF_PYPSA, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        read_pypsa(folder)


def test_a_folder_that_is_none_and_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="is no PyPSA folder"):
        read_pypsa(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(InputError, match="extra 'imports'"):
        read_pypsa(tmp_path / "net.nc")
