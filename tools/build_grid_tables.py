"""Write the compact grid tables of `sim/data/grid` from a folder of reference facts.

    python tools/build_grid_tables.py FACTS/grid [OUT]

Deterministic: the same facts give the same bytes. Figures and units are those of the facts;
what is computed here says so in the table's header.
"""

from __future__ import annotations

import csv
import datetime as dt
import sys
from collections import defaultdict
from pathlib import Path

FUELS = {
    "coal": ["cap_coal_mw"],
    "gas": ["cap_natural_gas_mw"],
    "nuclear": ["cap_nuclear_mw"],
    "hydro": ["cap_hydroelectric_mw"],
    "storage": ["cap_other_mw", "cap_pumped_storage_mw"],
    "solar": ["cap_solar_thermal_and_photovoltaic_mw"],
    "wind": ["cap_wind_mw"],
    "oil": ["cap_petroleum_mw"],
    "other": [
        "cap_geothermal_mw",
        "cap_other_biomass_mw",
        "cap_other_gases_mw",
        "cap_wood_and_wood_derived_fuels_mw",
    ],
}
# The EIA-930 region whose measured 2024 peak is taken as the state's: one state, one region.
ONE_STATE_REGION = {"CA": "CAL", "NY": "NY"}
ERCOT_SHARE = 0.845  # ReEDS load share of ERCOT in Texas (us_states.csv)
ERCOT_ENERGY_SCALE = 1.0423  # EIA-930 demand over EIA retail sales (us_states.csv, peak_method)
# Hours that the local daylight time lags UTC, by EIA-930 region (the zone of most of its load).
LAG_H = {
    "CAL": 7,
    "NW": 7,
    "SW": 7,
    "TEX": 5,
    "CENT": 5,
    "MIDW": 5,
    "TEN": 5,
    "SE": 5,
    "FLA": 4,
    "CAR": 4,
    "MIDA": 4,
    "NE": 4,
    "NY": 4,
}
INTERCONNECTIONS = {
    "eastern": ["CAR", "CENT", "FLA", "MIDA", "MIDW", "NE", "NY", "SE", "TEN"],
    "western": ["CAL", "NW", "SW"],
    "ercot": ["TEX"],
}
TOP_HOURS = 10
NWPP = ("WECC-Northwest", "WECC-Basin", "WECC-Rocky Mountain")

NOTES = {
    "zones": """
48 states, DC, AK, HI; Texas as TX-ERCOT and TX-other. As of 2024-12-31.
Capacity: EIA existing capacity 2024, net summer MW, all sectors (public domain);
  storage = EIA 'other' (batteries) + pumped storage;
  other = geothermal, biomass, other gases, wood.
peak_mw: derived = EIA 2024 retail sales x 1.0423 / 2024 load factor of the assumed EIA-930
  region, not a published state peak; measured = EIA-930 region that is one state, 2024 (cleaned
  by truggles, CC-BY-4.0); missing = not known. TX-other = Texas derived - ERCOT measured.
Texas: capacity, generation, data centres split by the ReEDS load share 0.845 / 0.155, an
  assumption (no split is published in the facts); mean load by ERCOT's measured energy.
Interconnection shares: ReEDS membership, by load. net_generation: EIA 2024.
data_centre_mw: EPRI 2023 share x sales, mean MW, derived.
""",
    "interfaces": """
Transfer limits between zones, MW; forward = from -> to. As of 2024: ReEDS NARIS 2024 through
  PyPSA/pypsa-usa@338af991 (MIT/BSD-3).
Both orders of a pair in the source are summed per kind. Texas AC ties and Blackwater end in
  TX-other; Oklaunion and Welsh (balancing areas p57-p63) in TX-ERCOT.
DC ties inside one zone (Miles City MT, Rapid City SD, Artesia NM) are not listed.
""",
    "nerc_areas": """
Reserve margins: NERC 2026 Summer Reliability Assessment, tables pp. 45-55, read second-hand
  (datacenter-bac-hackathon@54c3a037). As of 2026-06.
peak_mw: total demand 2024, NREL/ReEDS-2.0@433025e3 inputs/reserves/peak_net_imports.csv.
derived: ReEDS gives one peak (62,899 MW) for the old NWPP area; it is divided here among
  WECC-Northwest, -Basin and -Rocky Mountain by the derived peaks of their states.
""",
    "hour_load": """
Measured load at named hours, 2024: EIA-930 (truggles release_2025_Jan, CC-BY-4.0). As of 2024.
Mean over the 10 highest hours of at_region: gross_peak in May-October, winter_peak in
  December-March; net_peak = the hour ending 21:00 local daylight time on those summer days.
X_frac: load of region X over its own 2024 peak; eastern|western|ercot_mw: measured totals.
""",
}

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    """All rows of a CSV file."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """A CSV table whose header notes start with `#`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {note}\n" for note in NOTES[path.stem].strip().splitlines())
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def number(text: str) -> float:
    """A figure, 0 where the cell is empty."""
    return float(text) if text else 0.0


def shares(text: str) -> dict[str, float]:
    """`eastern:0.87|western:0.13` as a mapping."""
    pairs = (part.split(":") for part in text.split("|") if part)
    return {name: float(value) for name, value in pairs}


def capacity(state: Row, share: float = 1.0) -> dict[str, object]:
    """Summer MW by fuel group."""
    return {
        f"{fuel}_mw": round(share * sum(number(state[column]) for column in columns), 4)
        for fuel, columns in FUELS.items()
    }


def peak(state: Row, peaks: dict[str, float]) -> tuple[float | str, str]:
    """Peak load in MW and how it is known."""
    region = ONE_STATE_REGION.get(state["state"])
    if region:
        return peaks[region], "measured"
    derived = state["peak_mw_derived_2024"]
    return (float(derived), "derived") if derived else ("", "missing")


def zone_row(state: Row, peaks: dict[str, float]) -> dict[str, object]:
    """One state as a zone."""
    peak_mw, kind = peak(state, peaks)
    share = shares(state["interconnect_share_reeds"])
    if not share and state["interconnections_epa"] == "Eastern":
        share = {"eastern": 1.0}
    island = not share
    return {
        "zone": state["state"],
        "name": state["name"],
        "eastern_frac": share.get("eastern", 0.0),
        "western_frac": share.get("western", 0.0),
        "ercot_frac": share.get("ercot", 0.0),
        "island": int(island),
        "region": state["eia930_region_assumed"],
        "peak_mw": peak_mw,
        "peak_kind": kind,
        "mean_load_mw": state["avg_load_2024_mw"],
        "net_generation_twh": state["net_generation_2024_twh"],
        "data_centre_mw": state["dc_load_2023_avg_mw_derived"],
        "nerc_areas": "" if island else state["nerc_area_2026"],
        **capacity(state),
    }


def texas_rows(state: Row, peaks: dict[str, float], ercot_twh: float) -> list[dict[str, object]]:
    """Texas as TX-ERCOT (measured peak) and TX-other (derived: the rest)."""
    whole = zone_row(state, peaks)
    rest = 1.0 - ERCOT_SHARE
    share = shares(state["interconnect_share_reeds"])
    outside = share["eastern"] + share["western"]
    state_twh = float(state["retail_sales_2024_twh"]) * ERCOT_ENERGY_SCALE
    ercot_energy_share = ercot_twh / state_twh
    shared = {"mean_load_mw", "net_generation_twh", "data_centre_mw"}

    def part(zone: str, fraction: float, **changes: object) -> dict[str, object]:
        scaled = {key: round(float(str(whole[key])) * fraction, 4) for key in shared}
        return {**whole, **scaled, **capacity(state, fraction), "zone": zone, **changes}

    ercot = part(
        "TX-ERCOT",
        ERCOT_SHARE,
        name="Texas (ERCOT)",
        eastern_frac=0.0,
        western_frac=0.0,
        ercot_frac=1.0,
        peak_mw=peaks["TEX"],
        peak_kind="measured",
        nerc_areas="Texas RE-ERCOT",
        mean_load_mw=round(float(state["avg_load_2024_mw"]) * ercot_energy_share, 4),
    )
    other = part(
        "TX-other",
        rest,
        name="Texas outside ERCOT",
        eastern_frac=round(share["eastern"] / outside, 3),
        western_frac=round(share["western"] / outside, 3),
        ercot_frac=0.0,
        region="CENT",
        peak_mw=round(float(state["peak_mw_derived_2024"]) - peaks["TEX"], 1),
        nerc_areas="MRO-SPP|MISO|WECC-Southwest",
        mean_load_mw=round(float(state["avg_load_2024_mw"]) * (1 - ercot_energy_share), 4),
    )
    return [ercot, other]


def texas_end(zone: str, other: str, kind: str) -> str:
    """The part of Texas at which a tie ends: AC ties and Blackwater leave from outside ERCOT."""
    if zone != "TX":
        return zone
    return "TX-ERCOT" if kind == "dc" and other == "OK" else "TX-other"


def interfaces(rows: list[Row]) -> list[dict[str, object]]:
    """State-level limits, both orders of a pair summed per kind, alphabetical ends."""
    limits: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    notes: dict[tuple[str, str, str], str] = {}
    welsh = [r for r in rows if r["level"] == "balancing_area" and r["note"].startswith("Welsh")]
    for row in [r for r in rows if r["level"] == "state"] + [
        {**r, "from": "TX-ERCOT", "to": "TX-other"} for r in welsh
    ]:
        kind = "ac" if row["type"] == "AC" else "dc"
        a = texas_end(row["from"], row["to"], kind)
        b = texas_end(row["to"], row["from"], kind)
        ahead, back = float(row["forward_mw"]), float(row["reverse_mw"])
        if a > b:
            a, b, ahead, back = b, a, back, ahead
        limits[a, b, kind][0] += ahead
        limits[a, b, kind][1] += back
        notes[a, b, kind] = row["note"].split(" (BA")[0]
    return [
        {
            "from": a,
            "to": b,
            "kind": kind,
            "forward_mw": round(limits[a, b, kind][0], 3),
            "reverse_mw": round(limits[a, b, kind][1], 3),
            "note": notes[a, b, kind],
        }
        for a, b, kind in sorted(limits)
    ]


def nerc_rows(rows: list[Row], zones: list[dict[str, object]]) -> list[dict[str, object]]:
    """Margins as fractions; the NWPP peak of ReEDS divided among its three NERC areas."""
    wanted = {area for zone in zones for area in str(zone["nerc_areas"]).split("|")}
    parts = _nwpp_parts(zones)
    whole = next(float(r["peak_total_demand_2024_mw"]) for r in rows if r["nerc_area"] == NWPP[0])
    table: list[dict[str, object]] = []
    for row in rows:
        area = row["nerc_area"]
        if area not in wanted:
            continue
        derived = area in parts
        mw = whole * parts[area] / sum(parts.values()) if derived else 0.0
        table.append(
            {
                "area": area,
                "anticipated_frac": round(
                    float(row["summer2026_anticipated_reserve_margin_pct"]) / 100, 5
                ),
                "reference_frac": round(float(row["summer2026_reference_margin_pct"]) / 100, 5),
                "peak_mw": round(mw, 1) if derived else row["peak_total_demand_2024_mw"],
                "peak_kind": "derived" if derived else "published",
            }
        )
    return table


def _nwpp_parts(zones: list[dict[str, object]]) -> dict[str, float]:
    """Derived zone peaks by NWPP area; a zone in two of them counts half in each."""
    parts: dict[str, float] = dict.fromkeys(NWPP, 0.0)
    for zone in zones:
        inside = [area for area in str(zone["nerc_areas"]).split("|") if area in parts]
        for area in inside:
            parts[area] += float(str(zone["peak_mw"])) / len(inside)
    return parts


class Hours:
    """Hourly demand of one year by region, and the hours that count as peaks."""

    def __init__(self, rows: list[Row], year: int):
        """Keep the rows of one year."""
        kept = [row for row in rows if row["time_utc"].startswith(str(year))]
        self.time = [dt.datetime.fromisoformat(row["time_utc"]) for row in kept]
        self.load = {r: [float(row[r]) for row in kept] for r in LAG_H}
        self.peak = {region: max(values) for region, values in self.load.items()}

    def top(self, region: str, months: set[int]) -> list[int]:
        """The hours of highest demand of a region in some months."""
        hours = [i for i, time in enumerate(self.time) if time.month in months]
        return sorted(hours, key=lambda i: (-self.load[region][i], i))[:TOP_HOURS]

    def evening(self, region: str, peaks: list[int]) -> list[int]:
        """The hour ending 21:00 local daylight time on the days of those peaks."""
        lag = dt.timedelta(hours=LAG_H[region])
        days = {(self.time[i] - lag).date() for i in peaks}
        return [
            i
            for i, time in enumerate(self.time)
            if (time - lag).date() in days and (time - lag).hour == 21
        ]

    def sets(self, region: str) -> dict[str, list[int]]:
        """The hours that stand for each named hour, seen from one region."""
        gross = self.top(region, set(range(5, 11)))
        winter = self.top(region, {12, 1, 2, 3})
        return {"gross_peak": gross, "net_peak": self.evening(region, gross), "winter_peak": winter}

    def mean(self, region: str, hours: list[int]) -> float:
        """Mean demand of a region over some hours, MW."""
        return sum(self.load[region][i] for i in hours) / len(hours)


def hour_rows(hours: Hours) -> list[dict[str, object]]:
    """For each named hour of each region: every region's load as a fraction of its own peak."""
    table: list[dict[str, object]] = []
    for at in sorted(LAG_H):
        for name, chosen in hours.sets(at).items():
            row: dict[str, object] = {"hour": name, "at_region": at, "n_hours": len(chosen)}
            for of in sorted(LAG_H):
                row[f"{of}_frac"] = round(hours.mean(of, chosen) / hours.peak[of], 4)
            for ic, regions in INTERCONNECTIONS.items():
                row[f"{ic}_mw"] = round(sum(hours.mean(r, chosen) for r in regions), 1)
            table.append(row)
    return table


def main(facts: Path, out: Path) -> None:
    """Read the facts and write the four tables."""
    states = read(facts / "us_states.csv")
    area_peaks = read(facts / "eia930" / "eia930_peaks_by_area_2020_2024.csv")
    rows24 = [r for r in area_peaks if r["year"] == "2024" and r["level"] == "regions"]
    peaks = {r["name"]: float(r["peak_mw"]) for r in rows24}
    ercot_twh = next(float(r["energy_twh"]) for r in rows24 if r["name"] == "TEX")
    zones: list[dict[str, object]] = []
    for state in states:
        zones += (
            texas_rows(state, peaks, ercot_twh)
            if state["state"] == "TX"
            else [zone_row(state, peaks)]
        )
    zones.sort(key=lambda zone: str(zone["zone"]))
    hourly = read(facts / "eia930" / "eia930_hourly_demand_regions_2023_2024.csv")

    out.mkdir(parents=True, exist_ok=True)
    write(out / "zones.csv", zones)
    write(out / "interfaces.csv", interfaces(read(facts / "us_interfaces.csv")))
    write(out / "nerc_areas.csv", nerc_rows(read(facts / "nerc_regions.csv"), zones))
    write(out / "hour_load.csv", hour_rows(Hours(hourly, 2024)))


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / "sim" / "data" / "grid"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else target)
