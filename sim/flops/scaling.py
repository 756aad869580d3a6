"""Scaling laws: loss against parameters and tokens, and what follows for a FLOP budget.

L(N, D) = E + A / N^a + B / D^b (Hoffmann et al. 2022, approach 3), with C = 6 N D training
FLOPs (1 MAC = 2 FLOPs). The published constants and a refit (Besiroglu et al. 2024) stand
in `sim/data/arch/scaling_laws.yaml`. Nothing is extrapolated silently: the loss is in nats
per token of the authors' data and tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sim.datum import read_yaml
from sim.errors import InputError, UnknownNameError

LAWS_FILE = "arch/scaling_laws.yaml"
TRAINING_FLOPS_PER_PARAMETER_TOKEN = 6


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """Constants of one fit, losses in nats per token."""

    name: str
    floor: float
    parameter_scale: float
    token_scale: float
    parameter_exponent: float
    token_exponent: float
    source: str

    def loss(self, n_parameters: float, n_tokens: float) -> float:
        """Loss in nats per token."""
        _positive("parameters", n_parameters)
        _positive("tokens", n_tokens)
        by_size = self.parameter_scale / n_parameters**self.parameter_exponent
        return float(self.floor + by_size + self.token_scale / n_tokens**self.token_exponent)

    def optimum(self, budget_flops: float) -> tuple[float, float]:
        """Parameters and tokens of least loss for a budget C = 6 N D.

        N = G (C/6)^(b/(a+b)), D = (C/6)^(a/(a+b)) / G, G = (a A / (b B))^(1/(a+b))
        (Hoffmann et al. 2022, equation 4).
        """
        _positive("budget FLOPs", budget_flops)
        a, b = self.parameter_exponent, self.token_exponent
        ratio = (a * self.parameter_scale / (b * self.token_scale)) ** (1 / (a + b))
        pairs = budget_flops / TRAINING_FLOPS_PER_PARAMETER_TOKEN
        return ratio * pairs ** (b / (a + b)), pairs ** (a / (a + b)) / ratio

    def tokens_for(self, loss: float, n_parameters: float) -> float:
        """Tokens that a model of this size needs for a loss.

        Raises:
            InputError: no number of tokens reaches it.
        """
        left = loss - self.floor - self.parameter_scale / n_parameters**self.parameter_exponent
        if left <= 0:
            raise InputError(
                f"loss {loss:g} nats is out of reach for {n_parameters:g} parameters",
                f"its limit is {loss - left:g}",
            )
        return float((self.token_scale / left) ** (1 / self.token_exponent))

    def quality_for_saving(
        self, n_parameters: float, n_tokens: float, saved_frac: float
    ) -> QualityNeeded:
        """What better data must achieve for the same loss with `saved_frac` less training work.

        Assumption, explicit: better data multiplies the exponent-weighted worth of each
        token by one factor q (q tokens of the old kind per new one). The same model then
        needs D / q tokens, so q = 1 / (1 - saved); if the model may shrink to the optimum
        of the better data, less is enough.
        """
        if not 0 <= saved_frac < 1:
            raise InputError(f"saved share {saved_frac:g} is not in [0, 1)", "give a share below 1")
        target = self.loss(n_parameters, n_tokens)
        budget = TRAINING_FLOPS_PER_PARAMETER_TOKEN * n_parameters * n_tokens
        same_model = 1 / (1 - saved_frac)
        low, high = 1e-6, same_model
        for _ in range(200):
            q = (low * high) ** 0.5
            reached = self.with_better_data(q).best_loss(budget * (1 - saved_frac))
            low, high = (low, q) if reached <= target else (q, high)
        return QualityNeeded(saved_frac, same_model, high, target)

    def with_better_data(self, q: float) -> ScalingLaw:
        """The law for data of which one token is worth `q` old ones."""
        return replace(self, token_scale=self.token_scale / q**self.token_exponent)

    def best_loss(self, budget_flops: float) -> float:
        """Least loss in nats per token that a budget can buy."""
        return self.loss(*self.optimum(budget_flops))


@dataclass(frozen=True, slots=True)
class QualityNeeded:
    """Worth of a token of better data, in old tokens.

    Args:
        same_model: with the model unchanged. best_model: with size and tokens re-balanced;
            below 1 if the given model was far from the optimum.
    """

    saved_frac: float
    same_model: float
    best_model: float
    loss: float


def _positive(what: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{what} {value:g} is not above 0", "mend the number")


def laws() -> list[str]:
    """Names of the fits."""
    return sorted(read_yaml(LAWS_FILE))


def law(name: str = "hoffmann-2022") -> ScalingLaw:
    """One fit.

    Raises:
        UnknownNameError: no such fit.
    """
    entries = read_yaml(LAWS_FILE)
    if name not in entries:
        raise UnknownNameError("scaling law", name, entries)
    entry = entries[name]
    return ScalingLaw(
        name=name,
        floor=float(entry["floor"]),
        parameter_scale=float(entry["parameter_scale"]),
        token_scale=float(entry["token_scale"]),
        parameter_exponent=float(entry["parameter_exponent"]),
        token_exponent=float(entry["token_exponent"]),
        source=f"{entry['source']} ({entry['as_of']})",
    )
