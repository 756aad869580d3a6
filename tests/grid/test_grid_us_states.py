"""The tables of `us-states`: against the facts, the Texas split, the names."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sim.datum import data
from sim.errors import InputError, UnknownNameError
from sim.grid import show
from sim.grid.network import FUELS, Interface, Network
from sim.grid.sampling import demand_mw, draw
from sim.grid.us_states import DATA_FILES, resolve_zone, us_states

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def net() -> Network:
    return us_states()


@pytest.fixture(scope="module")
def states(facts: Path) -> list[dict[str, str]]:
    with (facts / "grid" / "us_states.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "tools" / "build_grid_tables.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.facts
def test_tables_are_what_the_tool_writes(facts: Path, tool: ModuleType, tmp_path: Path) -> None:
    tool.main(facts / "grid", tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["hour_load.csv", "interfaces.csv", "nerc_areas.csv", "zones.csv"]
    for name in written:
        assert (tmp_path / name).read_bytes() == (
            ROOT / "sim" / "data" / "grid" / name
        ).read_bytes()


def test_zones(net: Network) -> None:
    assert len(net.zones) == 52  # 47 states, 2 parts of Texas, DC, AK, HI
    balanced = [zone.name for zone in net.zones if net.is_balanced_zone(zone)]
    assert len(balanced) == 49
    assert {"AK", "HI", "DC"}.isdisjoint(balanced)
    assert "TX" not in {zone.name for zone in net.zones}


@pytest.mark.facts
def test_capacity_and_peaks_sum_to_the_facts(net: Network, states: list[dict[str, str]]) -> None:
    columns = [name for name in states[0] if name.startswith("cap_")]
    for state in states:
        parts = [z for z in net.zones if z.name == state["state"] or z.name.startswith("TX-")]
        if state["state"] != "TX":
            parts = [z for z in parts if z.name == state["state"]]
        total = sum(float(state[name] or 0) for name in columns)
        assert sum(z.total_capacity_mw for z in parts) == pytest.approx(total, abs=0.01)
        if parts[0].peak_is_derived and state["state"] != "TX":
            assert parts[0].peak_mw == float(state["peak_mw_derived_2024"])
    texas = next(state for state in states if state["state"] == "TX")
    both = [net.zone("TX-ERCOT").peak_mw or 0.0, net.zone("TX-other").peak_mw or 0.0]
    assert sum(both) == float(texas["peak_mw_derived_2024"])


@pytest.mark.facts
def test_limits_sum_to_the_facts(net: Network, facts: Path) -> None:
    with (facts / "grid" / "us_interfaces.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["level"] == "state"]
    total = sum(float(row["forward_mw"]) + float(row["reverse_mw"]) for row in rows)
    ours = sum(line.forward_mw + line.reverse_mw for line in net.interfaces)
    assert ours == pytest.approx(total + 1200.0, abs=0.5)  # Welsh has no state row
    fl_ga = next(x for x in net.interfaces if x.name == "FL-GA")
    assert fl_ga.forward_mw == pytest.approx(470.118 + 6243.954)
    assert fl_ga.reverse_mw == pytest.approx(387.724 + 6205.962)


def test_texas_split(net: Network) -> None:
    ercot, other = net.zone("TX-ERCOT"), net.zone("TX-other")
    assert (ercot.peak_mw, ercot.peak_kind, ercot.interconnection) == (85559.0, "measured", "ercot")
    assert (other.peak_kind, other.interconnection) == ("derived", "eastern")
    ties = {x.name: x.forward_mw for x in net.interfaces if "TX-ERCOT" in (x.source, x.target)}
    assert ties == {"OK-TX-ERCOT (dc)": 220.0, "TX-ERCOT-TX-other (dc)": 600.0}
    assert net.import_limit_mw("TX-ERCOT") == 820.0
    share = ercot.total_capacity_mw / (ercot.total_capacity_mw + other.total_capacity_mw)
    assert share == pytest.approx(0.845)
    assert net.split
    assert net.split.share.is_assumption


def test_graph_carries_the_limits(net: Network) -> None:
    graph = net.graph()
    assert graph.number_of_nodes() == 52
    assert graph.edges["OR", "CA"]["capacity_mw"] == pytest.approx(5312.228 + 2780.0)
    assert [x.kind for x in graph.edges["OR", "CA"]["interfaces"]] == ["ac", "dc"]
    assert graph.edges["CT", "RI"]["capacity_mw"] == 0.0


def test_every_figure_has_source_and_date_and_what_is_assumed_a_range() -> None:
    for path in DATA_FILES:
        if path.endswith(".yaml"):
            for figure in data(path).values():
                assert figure.source
                assert figure.as_of
                assert figure.is_assumption or not figure.source.startswith("assumption")
    wind_and_sun = [
        f for n, f in data("grid/availability.yaml").items() if n[-4:] in ("wind", "olar")
    ]
    assert len(wind_and_sun) == 6
    assert all((figure.high or 1.0) < 0.8 for figure in wind_and_sun)


@pytest.mark.facts
def test_frequency_figures_are_those_of_the_facts(net: Network, facts: Path) -> None:
    with (facts / "grid" / "frequency_response.csv").open(encoding="utf-8") as file:
        rows = {
            (r["interconnection"], r["quantity"].split(" (")[0]): r for r in csv.DictReader(file)
        }
    names = {"eastern": "Eastern", "western": "Western", "ercot": "ERCOT"}
    for figures in net.frequency:
        row = rows[names[figures.interconnection], "measured frequency response"]
        assert figures.response_mw_per_tenth_hz.value == float(row["value"])
        obligation = rows[names[figures.interconnection], "frequency response obligation"]
        assert f"obligation {obligation['value']}" in figures.response_mw_per_tenth_hz.source
    assert "read second-hand" in net.frequency[2].largest_load_loss_mw.source


def test_loads_of_an_interconnection_sum_to_the_measured_one(net: Network) -> None:
    draws = draw(net, 8, 1)
    for hour in net.hours:
        for view in hour.views:
            load = demand_mw(net, view, draws)
            for ic, total in view.totals_mw[:2]:
                known = [zone for zone in net.zones if net.is_balanced_zone(zone)]
                inside = [net.index(z.name) for z in known if z.interconnection == ic]
                factor = draws.of(f"load.{ic}", net.interconnection_load_factor)
                assert load[:, inside].sum(axis=1) == pytest.approx(total * factor)
                assert load[:, inside].min() > 0.0


def test_ranges_hold_and_row_zero_is_nominal(net: Network) -> None:
    draws = draw(net, 64, 1)
    figure = data("grid/availability.yaml")["gross_peak.wind"]
    values = draws.of("fuel.wind.eastern", figure)
    assert values[0] == figure.value
    assert values[1:].min() >= (figure.low or 0.0)
    assert values[1:].max() <= (figure.high or 0.0)
    assert not np.array_equal(values, draws.of("fuel.wind.western", figure))
    assert np.array_equal(values, draw(net, 64, 1).of("fuel.wind.eastern", figure))
    assert not np.array_equal(values, draw(net, 64, 2).of("fuel.wind.eastern", figure))


@pytest.mark.parametrize("samples", [1, 3, 50])
def test_any_number_of_samples(net: Network, samples: int) -> None:
    assert (
        len(draw(net, samples, 1).of("split", net.split.share if net.split else None))
        == samples + 1
    )


def test_unknown_purpose_and_too_few_samples(net: Network) -> None:
    with pytest.raises(UnknownNameError, match="assumption"):
        draw(net, 1, 1).of("fuel.wind.mars", data("grid/availability.yaml")["gross_peak.wind"])
    with pytest.raises(InputError, match="samples: 0"):
        draw(net, 0, 1)


@pytest.mark.parametrize(
    ("name", "zone"), [("VA", "VA"), ("virginia", "VA"), ("tx-ercot", "TX-ERCOT"), ("DC", "DC")]
)
def test_names(net: Network, name: str, zone: str) -> None:
    assert resolve_zone(net, name).name == zone


@pytest.mark.parametrize("name", ["TX", "Texas"])
def test_texas_alone_is_refused(net: Network, name: str) -> None:
    with pytest.raises(InputError, match="choose TX-ERCOT or TX-other"):
        resolve_zone(net, name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("TX-ERCTO", "did you mean 'TX-ERCOT'"),
        ("Virgina", r"did you mean 'VA' \(Virginia\)"),
        ("Schleswig-Holstein", "known: AK, AL"),
    ],
)
def test_unknown_names_give_the_nearest(net: Network, name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=near):
        resolve_zone(net, name)


@pytest.mark.parametrize(
    "line", [Interface("A", "A", 1, 1), Interface("A", "B", -1, 1), Interface("A", "Z", 1, 1)]
)
def test_bad_interfaces_are_refused(line: Interface) -> None:
    from grid_cases import hour, zone

    zones = (zone("A", 1, 1), zone("B", 1, 1))
    with pytest.raises(InputError):
        Network("bad", zones, (line,), (hour(2),))
    with pytest.raises(InputError, match="stands twice"):
        Network("bad", (*zones, zones[0]), (), (hour(3),))
    twice = (Interface("A", "B", 1, 1), Interface("A", "B", 2, 2))
    with pytest.raises(InputError, match="an interface stands twice"):
        Network("bad", zones, twice, (hour(2),))


def test_show_rows_name_the_gaps(net: Network) -> None:
    rows = {row["zone"]: row for row in show.zone_rows(net)}
    assert "peak derived from sales" in str(rows["VA"]["gaps"])
    assert "peak not known" in str(rows["DC"]["gaps"])
    assert "capacity split assumed" in str(rows["TX-ERCOT"]["gaps"])
    assert "no margin for MRO areas" in str(rows["MT"]["gaps"])
    assert rows["TX-ERCOT"]["import_limit_mw"] == 820.0
    assert rows["VA"]["reserve_margin_frac"] == 0.262
    assert len(show.interface_rows(net)) == len(net.interfaces)
    assert {row["zone"] for row in show.gap_rows(net)} >= {"AK", "HI", "DC", "all"}
    assert [row["name"] for row in show.list_rows()] == ["us-states", "us-balancing-areas"]
    assert show.network("us-states") is net
    with pytest.raises(UnknownNameError, match="us-states"):
        show.network("us-state")


def test_fuels_are_complete(net: Network) -> None:
    assert all(len(zone.capacity_mw) == len(FUELS) for zone in net.zones)
    assert all(len(hour.availability) == len(FUELS) for hour in net.hours)
