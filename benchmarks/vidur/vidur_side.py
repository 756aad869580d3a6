"""The other side of the cross-check: Vidur itself, with a step table of ours as its predictor.

    python vidur_side.py WORLD.npz OUT.npz

Runs in an environment of its own (`pip install vidur==0.0.26`; it imports nothing of ours).
Vidur's simulator, Sarathi scheduler, block accounting and events are as installed. Only two
plug-ins are exchanged: requests come from the file, and the time of a batch is looked up in
the table of the file instead of being predicted by a forest that needs profiles.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time

os.environ["WANDB_MODE"] = "disabled"

import numpy as np
from vidur._native.entities import ExecutionTime
from vidur.config import (
    CacheConfig,
    ClusterConfig,
    MetricsConfig,
    ReplicaConfig,
    SarathiSchedulerConfig,
    SimulationConfig,
)
from vidur.entities import Request
from vidur.execution_time_predictor import ExecutionTimePredictorRegistry
from vidur.request_generator import RequestGeneratorRegistry
from vidur.simulator import Simulator

WORLD = dict(np.load(sys.argv[1]))
MS_PER_PS = 1e-9
MADE: list[Request] = []


class TablePredictor:
    """The time of a batch from the table (see `sim/cost/tables.py` for its formula)."""

    def __init__(self, **_: object) -> None:
        pass

    def get_execution_time(self, batch, _stage):
        """All of a step's time, put where Vidur keeps the time of one operation of one layer."""
        prefill, decodes, cached = [], 0, 0
        for request, new in zip(batch.requests, batch.num_q_tokens, strict=True):
            if request.is_prefill_complete:
                # Vidur counts the token that the last step made; its keys are not cached yet.
                decodes, cached = decodes + 1, cached + request.num_processed_tokens - 1
            else:
                prefill.append((new, request.num_processed_tokens))
        time_ms = step_ps(prefill, decodes, cached) * MS_PER_PS
        return ExecutionTime(1, time_ms, *[0.0] * 13)


def step_ps(prefill: list[tuple[int, int]], decodes: int, cached: int) -> int:
    """Time of a step with some chunks and decoding sequences with so many cached tokens."""
    w = WORLD
    segment = int(np.searchsorted(w["edge"][decodes], cached, side="right")) - 1
    decode = w["base"][decodes, segment] + w["slope"][decodes, segment] * (
        cached - w["edge"][decodes, segment]
    )
    if not prefill:
        return int(decode)
    new = sum(n for n, _ in prefill)
    pairs = sum(n * c + n * (n - 1) // 2 for n, c in prefill)
    return int(
        w["token"][decodes + new]
        + w["sequence"] * (decodes + len(prefill))
        + decode
        - w["alone"][decodes]
        + w["pair"] * pairs
        + w["read"] * sum(c for _, c in prefill)
    )


class FileRequests:
    """The requests of the file."""

    def __init__(self, _config: object) -> None:
        pass

    def generate(self) -> list[Request]:
        """All of them, by arrival."""
        rows = zip(WORLD["arrival_s"], WORLD["input"], WORLD["output"], strict=True)
        MADE.extend(Request(float(at), int(i), int(o)) for at, i, o in rows)
        return list(MADE)


def main() -> None:
    """Simulate the world of the file, and write when each request had its first and last token."""
    logging.disable(logging.CRITICAL)
    folder = tempfile.mkdtemp()
    config = SimulationConfig(
        cluster_config=ClusterConfig(
            replica_config=ReplicaConfig(
                model_name="meta-llama/Llama-3-70B",
                num_pipeline_stages=1,
                tensor_parallel_size=4,
            ),
            cache_config=CacheConfig(block_size=16, num_blocks=int(WORLD["blocks"])),
            replica_scheduler_config=SarathiSchedulerConfig(
                batch_size_cap=int(WORLD["max_seqs"]), chunk_size=int(WORLD["max_tokens"])
            ),
        ),
        metrics_config=MetricsConfig(
            write_metrics=False,
            enable_chrome_trace=False,
            store_plots=False,
            output_dir=folder,
        ),
    )
    for registry, plug_in, kind in (
        (ExecutionTimePredictorRegistry, TablePredictor, config.execution_time_predictor_config),
        (RequestGeneratorRegistry, FileRequests, config.request_generator_config),
    ):
        registry.unregister(kind.get_type())
        registry.register(kind.get_type(), plug_in)
    simulator = Simulator(config)
    began_s = time.process_time()
    simulator.run()
    cpu_s = time.process_time() - began_s
    np.savez(
        sys.argv[2],
        first_s=[r._prefill_completed_at for r in MADE],  # noqa: SLF001
        end_s=[r._completed_at for r in MADE],  # noqa: SLF001
        restarts=[r.num_restarts for r in MADE],
        cpu_s=cpu_s,
    )


if __name__ == "__main__":
    main()
