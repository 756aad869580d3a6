"""Write down every operation of one step of the zoo's families: `tests/flops/operations.csv`.

A record, not a truth: the truths are the closed forms, the published counts and the counters of
other packages under `tests/flops`. The record makes any change of a row visible in a diff, for
the reviewer to judge. Run it again after a change that is meant.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sim import arch
from sim.arch import Architecture
from sim.flops import BF16, FP8_KV8, Batch, component_parameters, memory, step_operations
from sim.flops.activations import activation_bytes
from sim.flops.training import training_flops

RECORD = Path(__file__).resolve().parent.parent / "tests" / "flops" / "operations.csv"
BATCH = Batch([700, 300, 1, 1, 1], [0, 900, 5000, 70, 9000])
"""Two prompts, one of them resumed, and three sequences that decode, short and long."""
HEAD = (
    "arch", "part", "name", "kind", "counted", "layers", "split", "shards", "cache_shards",
    "all_reduce_width", "n", "k", "flops", "full_flops", "weight_bytes", "activation_bytes",
    "cache_read_bytes", "cache_write_bytes", "dispatch_bytes",
)  # fmt: skip
FAMILIES = (
    "deepseek-moe-16b", "deepseek-v3", "deepseek-v3.2", "falcon-7b", "falcon-mamba-7b",
    "gemma-2-2b", "gemma-3-4b", "gpt-oss-20b", "gpt2", "granite-4.0-h-small", "h3pp-1.3b",
    "hyena-1.3b", "jamba-v0.1", "llama-3-8b", "llama-4-scout", "mamba-130m", "mamba2-2.7b",
    "minimax-text-01", "mistral-7b-v0.1", "nemotron-h-56b", "qwen2-7b", "qwen3-next-80b-a3b",
    "rwkv-4-7b", "rwkv-5-3b", "rwkv-6-7b", "zamba-7b", "zamba2-2.7b",
)  # fmt: skip
"""One architecture for each set of blocks that the zoo has."""


def operations(model: Architecture) -> list[list[str]]:
    """The rows of the serving step."""
    rows = []
    for part, precision in (("step", BF16), ("step-fp8-kv8", FP8_KV8)):
        step = step_operations(model, BATCH, precision)
        for at, name in enumerate(step.name):
            held = [getattr(step, column)[at] for column in HEAD[3:]]
            rows.append([model.name, part, name, *map(_text, held)])
    return rows


def totals(model: Architecture) -> list[list[str]]:
    """Parameters by component, memory, and what training keeps and computes."""
    found: dict[str, float] = dict(component_parameters(model))
    kept = memory(model)
    found |= {
        "kv_bytes_per_token": kept.kv_bytes_per_token,
        "window_kv_bytes_per_token": kept.window_kv_bytes_per_token,
        "state_bytes": kept.state_bytes_per_sequence,
    }
    for recompute in ("none", "selective", "full"):
        flops = training_flops(model, 2, 1024, recompute)
        found |= {
            f"forward-{recompute}": flops.forward,
            f"backward-{recompute}": flops.backward,
            f"again-{recompute}": flops.recompute,
        }
        for tp, parallel, dropout in ((1, True, False), (4, True, True), (4, False, False)):
            held = activation_bytes(
                model, 2, 1024, recompute, tp=tp, sequence_parallel=parallel, dropout=dropout
            )
            found[f"kept-{recompute}-tp{tp}{'-sp' * parallel}{'-dropout' * dropout}"] = held
    return [[model.name, "total", name, _text(value)] for name, value in found.items()]


def record() -> str:
    """The whole record."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for name in FAMILIES:
        model = arch.load(name)
        writer.writerows(operations(model) + totals(model))
    return text.getvalue()


def _text(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    RECORD.write_text(record())
    print(RECORD)
