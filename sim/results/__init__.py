"""Results of sweeps for people who write Python: tables, SQL, and what follows from them.

import sim.results
found = sim.results.open("outputs/sweep-hosting-by-state")
found.frame()                        # pandas, one row for each run
found.dataset(["power_w.chip.mean"]) # xarray over the axes
found.sql('select seed, avg("power_w.chip.mean") from runs group by seed')
"""

from sim.results.store import SweepResults
from sim.results.store import open_results as open  # noqa: A004 - as in netCDF and zarr

__all__ = ["SweepResults", "open"]
