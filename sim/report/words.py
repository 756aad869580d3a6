"""Words and units of the figures by which runs and policies are compared."""

from __future__ import annotations

from typing import Final

UNITS: Final = {
    "_j_per_output_token": "J/token", "_j_per_token": "J/token", "_tokens_per_s": "tokens/s",
    "_usd_per_year": "USD/year", "_usd_per_mwh": "USD/MWh", "_kw_per_gpu": "kW/GPU",
    "_gpu_h": "GPU h", "_mwh": "MWh", "_mw": "MW", "_w": "W", "_j": "J", "_h": "h", "_s": "s",
    "_hz": "Hz", "_frac": "fraction", "_bytes": "bytes", "_tokens": "tokens", "_usd": "USD",
    "_t": "t", "_m3": "m³",
}  # fmt: skip
"""Unit by the suffix of a name, the longer suffix first."""
FIGURES: Final = {
    "gpus": ("GPUs", "GPU"),
    "zones": ("zones with a site", ""),
    "peak_load_mw": ("peak at the meter", "MW"),
    "largest_site_mw": ("largest site", "MW"),
    "mean_load_mw": ("mean power at the meter", "MW"),
    "energy_mwh": ("energy at the meter", "MWh"),
    "swing_mw": ("swing within a training step", "MW"),
    "unserved_mw": ("unserved load", "MW"),
    "unserved_mwh": ("unserved energy", "MWh"),
    "limits_binding": ("limits that bind", ""),
    "limits_indeterminate": ("limits that the data cannot decide", ""),
    "hosted_mw": ("load that the place hosts", "MW"),
    "hosted_curtailed_frac": ("of it curtailed over a year", "fraction"),
    "training_tokens": ("tokens trained", "tokens"),
    "training_mfu": ("MFU of training", "fraction"),
    "training_goodput_frac": ("goodput of training", "fraction"),
    "days_to_finish": ("time to finish", "days"),
    "requests_completed": ("requests completed", ""),
    "requests_shed": ("requests shed", ""),
    "output_tokens": ("output tokens", "tokens"),
    "energy_j_per_output_token": ("energy per output token", "J/token"),
    "ttft_p99_s": ("time to first token, 99th percentile", "s"),
    "tpot_p99_s": ("time per output token, 99th percentile", "s"),
    "energy_cost_usd": ("cost of energy", "USD"),
    "carbon_t": ("emissions", "tCO2"),
    "held_back_mwh": ("energy held back", "MWh"),
    "missed_mwh": ("energy above the limit", "MWh"),
}
"""Name and unit of a figure; those that are not here are told by their key."""


def name_and_unit(key: str) -> tuple[str, str]:
    """A figure in words, and its unit ("" for a count)."""
    if key in FIGURES:
        return FIGURES[key]
    for suffix, unit in UNITS.items():
        if key.endswith(suffix):
            return key.removesuffix(suffix).replace("_", " "), unit
    return key.replace("_", " "), ""


def label_of(key: str) -> str:
    """A figure in words with its unit, for an axis."""
    name, unit = name_and_unit(key)
    return f"{name} [{unit}]" if unit else name
