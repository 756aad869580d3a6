"""A19, A33, A49: money, electricity, and what the quadratic term has to do with it."""

from __future__ import annotations

import statistics

from sim import arch
from sim.claims.base import Judgement, Numbers, claim, near
from sim.claims.figures import countries_twh, fact, prefill
from sim.claims.fleets import fleet
from sim.datum import datum
from sim.facility.budget import budget_answer
from sim.units import H_PER_YEAR, KIB, KILO, MEGA
from sim.workload.lengths import trace_lengths

CLAIMED_USD = 100e9


def measure_price() -> Numbers:
    """The reported cost, and what the claimed sum buys of H100 servers, building and connection."""
    bought = budget_answer(CLAIMED_USD).found
    return {
        "claimed_usd": CLAIMED_USD,
        "reported_usd": fact("stargate.cost"),
        "gpus": bought.gpus.value,
        "meter_gw": bought.meter_mw.value / KILO,
        "meter_low_gw": bought.meter_mw.low / KILO,
        "meter_high_gw": bought.meter_mw.high / KILO,
    }


@claim(
    "A19",
    measure_price,
    "the reported cost; what the sum buys, from capital costs with their ranges",
    facts=("stargate.cost",),
)
def judge_price(numbers: Numbers) -> Judgement:
    """The report gives the same figure."""
    same = near(numbers["reported_usd"], numbers["claimed_usd"], 0.15)
    return Judgement(
        "sourced" if same else "false",
        numbers["reported_usd"],
        "USD",
        "a press report of a plan ('up to'), for a launch in 2028: neither an announcement nor a "
        "data centre under construction",
        (
            f"reported {numbers['reported_usd']:.3g}, claimed {numbers['claimed_usd']:.3g} USD",
            (
                f"it buys {numbers['gpus'] / MEGA:.1f} million H100 with servers, building and "
                f"connection: {numbers['meter_gw']:.1f} GW at the meter "
                f"({numbers['meter_low_gw']:.1f} to {numbers['meter_high_gw']:.1f})"
            ),
        ),
    )


KW_H_PER_TWH = 1e9
J_PER_TWH = 3.6e15
FLEET_ARCH, FLEET_TOKENS = "llama-3-70b", (1024, 256)
"""Model and tokens of the fleet whose energy is held against the countries."""


def measure_electricity() -> Numbers:
    """A lower bound for one service in 2023, the projection for 2027, and the countries."""
    used = sorted(countries_twh().values())
    ai = datum("claims/facts.yaml", "electricity.ai_2027")
    servers, power = fact("electricity.chatgpt_servers"), fact("electricity.chatgpt_server_power")
    one_service = servers * power * H_PER_YEAR / KW_H_PER_TWH
    low, high = ai.low or ai.value, ai.high or ai.value
    served = fleet(FLEET_ARCH, 4, *FLEET_TOKENS)
    twh_per_gpu = served.kw_per_gpu * H_PER_YEAR / KW_H_PER_TWH
    return {
        "fleet_kw_per_gpu": served.kw_per_gpu,
        "fleet_j_per_token": served.j_per_token,
        "fleet_100k_twh": 1e5 * twh_per_gpu,
        "below_100k": sum(twh < 1e5 * twh_per_gpu for twh in used),
        "gpus_of_smallest": used[0] / twh_per_gpu,
        "gpus_of_median": statistics.median(used) / twh_per_gpu,
        "gpus_of_netherlands": countries_twh()["Netherlands"] / twh_per_gpu,
        "tokens_of_median": statistics.median(used) * J_PER_TWH / served.j_per_token,
        "servers": servers,
        "server_kw": power,
        "one_service_twh": one_service,
        "projected_low_twh": low,
        "projected_high_twh": high,
        "us_data_centres_twh": fact("electricity.us_data_centres_2023"),
        "countries": len(used),
        "smallest_twh": used[0],
        "median_twh": statistics.median(used),
        "below_one_service": sum(twh < one_service for twh in used),
        "below_projected_low": sum(twh < low for twh in used),
        "below_projected_high": sum(twh < high for twh in used),
        "netherlands_twh": countries_twh()["Netherlands"],
    }


@claim(
    "A33",
    measure_electricity,
    "published estimates, and the energy of a fleet from the engine, against the electricity use "
    "of every country (EIA, 2022)",
    archs=(FLEET_ARCH,),
    facts=(
        "electricity.chatgpt_servers",
        "electricity.chatgpt_server_power",
        "electricity.ai_2027",
        "electricity.us_data_centres_2023",
    ),
    references=("EIA International Energy Statistics, net consumption 2022 (public domain)",),
)
def judge_electricity(numbers: Numbers) -> Judgement:
    """Above the median country already, above some, or above none."""
    now, later = numbers["one_service_twh"], numbers["projected_low_twh"]
    median = numbers["median_twh"]
    some = now > numbers["smallest_twh"] or later > numbers["smallest_twh"]
    return Judgement(
        "true" if now > median else "true-if" if some else "false",
        numbers["projected_low_twh"],
        "TWh per year (low end of the projection for 2027)",
        f"depends on 'small' and on the year: one service in early 2023 (at least {now:.2f} TWh a "
        f"year) already passed the {numbers['below_one_service']:.0f} smallest of "
        f"{numbers['countries']:.0f} countries and territories; the projection for 2027 passes "
        f"{numbers['below_projected_low']:.0f} to {numbers['below_projected_high']:.0f} of them "
        f"(median {median:.1f} TWh; Netherlands {numbers['netherlands_twh']:.0f}); by the fleet's "
        f"energy {numbers['gpus_of_median'] / MEGA:.2f} million H100 at work pass the median "
        f"country, {numbers['gpus_of_netherlands'] / MEGA:.1f} million the Netherlands: it flips "
        "on how many run; no "
        "measured figure for the whole AI industry of 2024 is at hand",
        (
            (
                f"{numbers['servers']:,.0f} servers x {numbers['server_kw']:g} kW x "
                f"{H_PER_YEAR:,} h = {now:.3f} TWh"
            ),
            (
                f"a fleet of {FLEET_ARCH} on H100, 70 % busy, {FLEET_TOKENS[0]:,} tokens in and "
                f"{FLEET_TOKENS[1]} out: {numbers['fleet_kw_per_gpu']:.2f} kW per GPU at the "
                f"meter, {numbers['fleet_j_per_token']:.2f} J per output token; 100,000 of its "
                f"GPUs take {numbers['fleet_100k_twh']:.2f} TWh a year, more than "
                f"{numbers['below_100k']:.0f} of the countries"
            ),
            (
                f"the smallest country's use is that of {numbers['gpus_of_smallest']:,.0f} GPUs; "
                f"the median's makes {numbers['tokens_of_median']:.2e} output tokens a year"
            ),
            f"2027: {later:g} to {numbers['projected_high_twh']:g} TWh (a projection)",
            f"all US data centres 2023: {numbers['us_data_centres_twh']:g} TWh, AI not apart",
        ),
    )


TRAINED = ("gpt-3-175b", "llama-2-7b", "llama-3-8b", "llama-3-70b")
SERVED = "llama-3-70b"
LONG_TOKENS = 128 * KIB


def quadratic_share(name: str, tokens: int) -> float:
    """Share of scores and weighted sum in the FLOPs of a causal pass over whole sequences."""
    table = prefill(arch.load(name), tokens)
    core = sum(
        float(flops)
        for row, flops in zip(table.name, table.flops, strict=True)
        if row.endswith(".core")
    )
    return core / table.total_flops


def measure_quadratic() -> Numbers:
    """The quadratic share at full training contexts, at served prompts, and far beyond."""
    numbers: dict[str, float] = {}
    for name in TRAINED:
        numbers[f"{name}.context"] = arch.load(name).max_context
        numbers[f"{name}.share"] = quadratic_share(name, arch.load(name).max_context)
    prompt = round(trace_lengths("azure-conv-2023").mean_tokens[0])
    numbers["served_tokens"] = prompt
    numbers["served_share"] = quadratic_share(SERVED, prompt)
    numbers["long_share"] = quadratic_share("llama-2-7b", LONG_TOKENS)
    numbers["half_tokens"] = _half_length("llama-2-7b")
    return numbers


def _half_length(name: str) -> float:
    low, high = 2, 1 << 24
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if quadratic_share(name, middle) >= 0.5 else (middle + 1, high)
    return float(low)


@claim(
    "A49",
    measure_quadratic,
    "share of the quadratic term in the FLOPs at the contexts in use (causal, as run)",
    archs=TRAINED,
    references=(
        (
            "Azure LLM inference trace 2023, conversations (CC-BY-4.0), mean prompt; "
            "github.com/Azure/AzurePublicDataset"
        ),
    ),
)
def judge_quadratic(numbers: Numbers) -> Judgement:
    """Half of the work at lengths in use, only at long ones, or never."""
    used = [numbers[f"{name}.share"] for name in TRAINED] + [numbers["served_share"]]
    long = numbers["long_share"] >= 0.5
    return Judgement(
        "true" if max(used) >= 0.5 else "true-if" if long else "false",
        max(used),
        "of the FLOPs is quadratic, at most, at contexts in use",
        f"only for sequences of more than about {numbers['half_tokens']:,.0f} tokens "
        "(Llama-2-7B, causal: half of the FLOPs); at training contexts and served prompts the "
        f"quadratic term is {min(used):.1%} to {max(used):.1%} of the FLOPs, the rest is linear; "
        "FLOPs stand for energy here, and decoding is bound by bytes",
        (
            *(
                f"{name}, {numbers[f'{name}.context']:,.0f} tokens: {numbers[f'{name}.share']:.1%}"
                for name in TRAINED
            ),
            (
                f"{SERVED}, mean served prompt of {numbers['served_tokens']:,.0f} tokens: "
                f"{numbers['served_share']:.1%}"
            ),
            f"llama-2-7b, {LONG_TOKENS:,} tokens: {numbers['long_share']:.1%}",
        ),
    )
