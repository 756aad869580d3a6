"""The buses of the synthetic Texas as the page's map draws them."""

from __future__ import annotations

import json
from functools import cache

from sim.report.page.question import TEXAS_CASE


@cache
def buses_json() -> str:
    """JSON text: `buses`, each `[number, longitude, latitude, kV]`, and `lines` between them.

    A line is `[from, to]`, places in `buses`, each pair of buses once. Made on the first call,
    which reads the case.
    """
    from sim.grid.nodal.cases import load_case

    network = load_case(TEXAS_CASE)
    buses, branches = network.buses, network.branches
    if buses.longitude_deg is None or buses.latitude_deg is None:
        return json.dumps({"buses": [], "lines": []})
    columns = (buses.number, buses.longitude_deg, buses.latitude_deg, buses.base_kv)
    rows = [
        [int(number), round(float(lon), 3), round(float(lat), 3), round(float(kv), 1)]
        for number, lon, lat, kv in zip(*columns, strict=True)
    ]
    ends = zip(branches.start.tolist(), branches.end.tolist(), strict=True)
    lines = sorted({(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]})
    return json.dumps({"buses": rows, "lines": lines}, separators=(",", ":"))
