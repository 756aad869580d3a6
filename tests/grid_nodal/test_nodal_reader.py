"""Reading cases: every case of the package, statements, and every fault with its line."""

from __future__ import annotations

import numpy as np
import pytest
from nodal_cases import case_text, package_case, package_folder, raw_case, tiny

from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.build import build
from sim.grid.nodal.cases import TEXAS, case_names, load_case
from sim.grid.nodal.islands import labels
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.tables import Network

BUSES = [(1, 3, 0.0), (2, 1, 50.0)]
GENERATORS = [(1, 50.0, 0.0, 100.0)]
BRANCHES = [(1, 2, 0.1, 100.0)]


def read(text: str, **options: bool) -> Network:
    return build(parse(text, "my.m"), **options)


def test_every_small_case_of_the_package_becomes_a_network() -> None:
    files = [f for f in sorted(package_folder().glob("case*.m")) if f.stat().st_size < 1_100_000]
    assert len(files) > 60
    for file in files:
        network = package_case(file.stem)
        assert len(network.buses) > 0
        assert np.isfinite(network.branches.x_pu).all()
        assert not np.isnan(network.branches.rating_mw).any()


def test_tables_of_texas_equal_the_case_file_to_the_last_digit() -> None:
    ours, file = load_case(TEXAS), package_case("case_ACTIVSg2000")
    for part in ("buses", "generators", "branches", "dc_lines"):
        mine, theirs = getattr(ours, part), getattr(file, part)
        for field in mine.__dataclass_fields__:
            if field not in ("latitude_deg", "longitude_deg"):
                assert np.array_equal(getattr(mine, field), getattr(theirs, field)), field
    assert ours.buses.latitude_deg is not None
    assert ours.buses.latitude_deg.min() > 25


def test_coordinates_are_those_of_the_facts(facts) -> None:  # type: ignore[no-untyped-def]
    lines = (facts / "grid" / "activsg2000_bus_locations.csv").read_text().splitlines()
    network = load_case(TEXAS)
    rows = {row.split(",")[0]: row.split(",") for row in lines[1:]}
    for number, latitude in zip(network.buses.number, network.buses.latitude_deg, strict=True):  # type: ignore[arg-type]
        assert float(rows[str(number)][6]) == latitude


def test_unit_conversions_at_the_end_are_applied() -> None:
    raw = raw_case("case33bw")
    # 100 kW at bus 2 and 0.0922 ohm at 12.66 kV on 10 MVA in the file
    assert raw.tables["bus"][1, 2] == pytest.approx(0.1)
    assert raw.tables["branch"][0, 2] == pytest.approx(0.0922 / (12.66e3**2 / (raw.base_mva * 1e6)))


def test_power_factor_conversion_of_case141() -> None:
    raw = raw_case("case141")
    loaded = raw.tables["bus"][:, 2] > 0
    ratio = raw.tables["bus"][loaded, 3] / raw.tables["bus"][loaded, 2]
    assert ratio == pytest.approx(np.tan(np.arccos(0.85)))


def test_expressions_in_tables_and_infinite_limits_are_numbers() -> None:
    assert raw_case("case533mt_hi").tables["bus"][0, 9] == pytest.approx(135 / 3**0.5)
    network = package_case("case_RTS_GMLC")
    assert len(network.dc_lines) == 1
    assert network.dc_lines.max_mw[0] == 100


def test_a_statement_that_is_not_understood_is_refused_with_its_line() -> None:
    text = case_text(BUSES, GENERATORS, BRANCHES, more="mpc.bus = scale_load(2, mpc.bus);\n")
    with pytest.raises(InputError, match=r"my\.m:14: statement"):
        parse(text, "my.m")


def test_a_true_condition_is_refused_and_a_false_one_skipped() -> None:
    block = "if fixed\n  mpc.gen(:, PG) = mpc.gen(:, PG) * 2;\nend\n"
    skipped = parse(case_text(BUSES, GENERATORS, BRANCHES, more="fixed = 0;\n" + block), "my.m")
    assert skipped.tables["gen"][0, 1] == 50
    with pytest.raises(InputError, match="if fixed"):
        parse(case_text(BUSES, GENERATORS, BRANCHES, more="fixed = 1;\n" + block), "my.m")


def test_zero_rating_means_unlimited() -> None:
    network = tiny(BUSES, GENERATORS, [(1, 2, 0.1, 0.0)])
    assert np.isinf(network.branches.rating_mw[0])


def test_circuits_count_parallel_branches_in_both_directions() -> None:
    network = tiny(BUSES, GENERATORS, [(1, 2, 0.1, 9.0), (2, 1, 0.1, 9.0), (1, 2, 0.2, 9.0)])
    assert network.circuit.tolist() == [1, 2, 3]
    assert network.branch_name(1) == {"row": 2, "from": 2, "to": 1, "circuit": 2}


def test_the_network_is_a_graph_too() -> None:
    graph = tiny(BUSES, GENERATORS, [(1, 2, 0.1, 9.0), (2, 1, 0.1, 9.0)]).graph()
    assert graph.number_of_edges(1, 2) == 2
    assert graph.nodes[2]["load_mw"] == 50


FAULTS = {
    "missing columns": (("2 1 50.0 0 0 0 1 1 0 230 1 1.1 0.9;", "2 1 50.0;"), "5", "columns"),
    "unknown bus": (("1 2 0 0.1", "1 7 0 0.1"), "12", "bus 7 is not in mpc.bus"),
    "bus named twice": (("2 1 50.0", "1 1 50.0"), "6", "named twice"),
    "disconnected load": (("0 0 0 0 1;", "0 0 0 0 0;"), "6", "disconnected load: 50 MW at bus 2"),
    "negative reactance": (("1 2 0 0.1", "1 2 0 -0.1"), "12", "reactance -0.1"),
    "zero reactance": (("1 2 0 0.1", "1 2 0 0"), "12", "reactance 0"),
    "NaN rating": (("0.1 0 100.0", "0.1 0 NaN"), "12", "rateA is NaN"),
    "negative rating": (("0.1 0 100.0", "0.1 0 -5"), "12", "rateA -5"),
    "not a number": (("0.1 0 100.0", "0.1 0 abc"), "12", "'abc' in column 6"),
    "infinite load": (("2 1 50.0", "2 1 Inf"), "6", "Pd is infinite"),
    "limits crossed": (("1 100.0 0.0;", "1 10.0 40;"), "9", "Pmin 40 over Pmax 10"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_gives_one_error_with_file_and_line(fault: str) -> None:
    (good, bad), line, words = FAULTS[fault]
    text = case_text(BUSES, GENERATORS, BRANCHES)
    if fault == "missing columns":
        text = text.replace("1 3 0.0 0 0 0 1 1 0 230 1 1.1 0.9;", "1 3 0;")
    assert good in text
    with pytest.raises(InputError) as error:
        read(text.replace(good, bad))
    assert words in str(error.value)
    assert str(error.value).startswith(f"my.m:{line}: ")


def test_ragged_rows_and_a_file_cut_off_are_named() -> None:
    text = case_text(BUSES, GENERATORS, BRANCHES)
    with pytest.raises(InputError, match=r"my\.m:6: .*row with 12 columns among rows with 13"):
        read(text.replace("2 1 50.0 0 0 0 1 1 0 230 1 1.1 0.9;", "2 1 50.0 0 0 0 1 1 0 230 1 1.1;"))
    with pytest.raises(InputError, match="cut off"):
        read(text[: text.rindex("];")])


def test_a_table_or_base_that_is_missing_is_named() -> None:
    text = case_text(BUSES, GENERATORS, BRANCHES)
    with pytest.raises(InputError, match=r"mpc\.gen is missing"):
        read(text.replace("mpc.gen =", "mpc.other ="))
    with pytest.raises(InputError, match="baseMVA"):
        read(text.replace("mpc.baseMVA = 100;", ""))
    with pytest.raises(InputError, match="version '1'"):
        read(text.replace("version = '2'", "version = '1'"))


def test_negative_reactance_is_read_where_it_is_known_or_meant() -> None:
    assert (package_case("case300").branches.x_pu < 0).sum() == 1
    text = case_text(BUSES, GENERATORS, [*BRANCHES, (1, 2, -0.5, 9.0)])
    assert (read(text, accept_negative_x=True).branches.x_pu < 0).sum() == 1


def test_costs_of_reactive_power_are_left_out_and_wrong_counts_refused() -> None:
    assert len(package_case("case30Q").generators.cost) == 6
    with pytest.raises(InputError, match="3 rows for 1 generators"):
        tiny(BUSES, GENERATORS, BRANCHES, costs=["2 0 0 2 1 0;"] * 3)
    with pytest.raises(InputError, match="model 3"):
        tiny(BUSES, GENERATORS, BRANCHES, costs=["3 0 0 2 1 0;"])


def test_islands_are_told_apart_and_isolated_buses_left_out() -> None:
    network = package_case("case16ci")
    assert labels(network).max() == 2
    dead = tiny([*BUSES, (3, 4, 70.0)], GENERATORS, [*BRANCHES, (2, 3, 0.1, 0.0)])
    assert labels(dead).tolist() == [0, 0, -1]
    assert dead.branch_on.tolist() == [True, False]


def test_names_and_paths(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert TEXAS in case_names()
    file = tmp_path / "mine.m"
    file.write_text(case_text(BUSES, GENERATORS, BRANCHES))
    assert len(load_case(str(file)).buses) == 2
    with pytest.raises(InputError, match="no such file"):
        load_case(str(tmp_path / "none.m"))
    with pytest.raises(UnknownNameError, match="activsg200"):
        load_case("activsg-2000")


def test_without_the_extra_a_case_names_it(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("sim.grid.nodal.cases.find_spec", lambda _: None)
    assert case_names() == [TEXAS]
    assert len(load_case(TEXAS).buses) == 2000
    with pytest.raises(InputError, match="extra 'cases'"):
        load_case("activsg10k")
