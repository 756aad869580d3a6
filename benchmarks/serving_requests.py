"""Peak memory against the number of requests: `python benchmarks/serving_requests.py`.

A fleet of 400 replicas of Llama-3-8B at 4,000 requests a second, every one simulated, for
longer and longer, without storing requests and with all of them in `requests.parquet`. Each
run is a process of its own, since the peak of a process never falls. One JSON line a run:
requests, processor seconds, MiB at the peak, and the size of the file.

`grows_bytes_per_request` at the end is the slope of the peak from the shortest run to the
longest: what remains of it are the power signals, whose length is that of the run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sim.cluster.serving.compiled import warm_up
from sim.scenario.run import load_scenario, run_scenario
from sim.units import MIB

RATE_PER_S = 4000
HORIZONS_S = (100, 400, 1600)
SCENARIO = """\
name: memory
horizon_h: {hours!r}
grid: {{samples: 8, hosting: false}}
record: {{requests: {requests}}}
sites:
  - name: campus
    at: {{zone: VA}}
    cluster: {{gpus: 400}}
    workloads:
      - kind: serving
        arch: llama-3-8b
        requests: {{kind: poisson, rate_per_s: {rate}}}
        fidelity: request
        warmup_s: 10
"""


def measure(requests: str, horizon_s: float) -> dict[str, object]:
    """Run one scenario in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "memory.yaml"
        text = SCENARIO.format(hours=horizon_s / 3600, requests=requests, rate=RATE_PER_S)
        file.write_text(text, "utf-8")
        began_s = time.process_time()
        result = run_scenario(load_scenario(file)[1], 1, folder=folder)
        cpu_s = time.process_time() - began_s
        stored = folder / "requests.parquet"
        size = stored.stat().st_size if stored.is_file() else 0
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "stored": requests,
        "requests": round(result.summary["serving"]["requests"]),
        "cpu_s": round(cpu_s, 2),
        "peak_mib": round(peak_bytes / MIB, 1),
        "file_mib": round(size / MIB, 1),
    }


def apart(requests: str, horizon_s: float) -> dict[str, object]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", requests, str(horizon_s)]
    found: dict[str, object] = json.loads(subprocess.check_output(command, text=True))
    return found


def slope(rows: list[dict[str, object]]) -> float:
    """Growth of the peak from the first row to the last, bytes per request."""
    (low, peak), (high, later) = (
        (float(str(row["requests"])), float(str(row["peak_mib"]))) for row in (rows[0], rows[-1])
    )
    return (later - peak) * MIB / (high - low)


def main(argv: list[str] | None = None) -> int:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("REQUESTS", "HORIZON_S"), help="in this process")
    options = parser.parse_args(argv)
    if options.one:
        print(json.dumps(measure(options.one[0], float(options.one[1]))))
        return 0
    warm_up()
    for requests in ("none", "all"):
        rows = []
        for horizon_s in HORIZONS_S:
            rows.append(apart(requests, horizon_s))
            print(json.dumps(rows[-1]), flush=True)
        print(json.dumps({"stored": requests, "grows_bytes_per_request": round(slope(rows), 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
