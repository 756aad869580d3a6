"""The measured year 2022, run again; and the measured mixes themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import UnknownNameError
from sim.grid.regions.backcast import TARGET_FRAC, backcast, backcast_all, surcharge
from sim.grid.regions.hourly import measured_mix, mix_areas


def test_held_out_weeks_are_met_within_six_points_in_all_eight_areas() -> None:
    found = backcast_all("even")
    assert len(found) == 8
    for area in found:
        assert area.unserved_mwh == 0
        assert sum(area.predicted_frac.values()) == pytest.approx(1.0)
        assert sum(area.measured_frac.values()) == pytest.approx(1.0)
        assert area.within_target, (area.area, area.worst_fuel, area.worst_frac)


def test_the_checker_fails_where_the_fit_is_taken_away() -> None:
    plain = backcast("SOCO", "even", coal_usd_per_mwh=0.0)
    assert abs(plain.worst_frac) > TARGET_FRAC
    assert not plain.within_target
    assert not replace(plain, worst_frac=-0.061).within_target


def test_gaps_of_the_source_are_counted_and_filled() -> None:
    assert measured_mix("PJM").filled_hours >= 23
    for area in mix_areas():
        mix = measured_mix(area)
        assert np.isfinite(mix.total_mw).all()
        assert mix.total_mw.min() > 0.15 * mix.total_mw.mean()


def test_interchange_is_known_for_five_areas_and_said_to_be_unknown_elsewhere() -> None:
    known = {area for area in mix_areas() if measured_mix(area).demand_mw is not None}
    assert known == {"ERCO", "NYIS", "SOCO", "BPAT", "AZPS"}
    found = backcast("MISO")
    assert "interchange not known" in " ".join(found.notes)
    assert not found.demand_known
    assert backcast("NYIS").mean_import_mw > 1000
    assert backcast("BPAT").mean_import_mw < 0


def test_unknown_area() -> None:
    with pytest.raises(UnknownNameError, match="'PJN'"):
        measured_mix("PJN")
    assert surcharge("PJM") > 0
