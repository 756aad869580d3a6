"""A site with one training job and one fleet, for the rules and the allocator."""

from __future__ import annotations

from sim.control.view import GridSignals, SiteView, WorkloadView

CAPS = (None, 650.0, 600.0, 500.0, 400.0, 300.0)


def workload(name: str, kind: str, gpus: int, full_w: float) -> WorkloadView:
    """A workload whose power goes with the cap, down to idle at 120 W a GPU."""
    idle_w = 120.0 * gpus

    def chip_w_at(cap_w: float | None) -> float:
        share = 1.0 if cap_w is None else cap_w / 700.0
        return max(idle_w, full_w * share)

    return WorkloadView(name, kind, gpus, CAPS, chip_w_at, idle_w)  # type: ignore[arg-type]


def site(battery_w: float = 0.0, generation_w: float = 0.0, own_w: float = 0.0) -> SiteView:
    return SiteView(
        name="campus",
        time_s=0.0,
        interval_s=300.0,
        import_w=1e6,
        fixed_w=1e5,
        meter_w_per_chip_w=1.3,
        other_chip_w=0.0,
        workloads=(
            workload("pretrain", "training", 1000, 600e3),
            workload("chat", "serving", 500, 250e3),
        ),
        grid=GridSignals(),
        own_w=own_w,
        battery_w=battery_w,
        generation_w=generation_w,
    )
