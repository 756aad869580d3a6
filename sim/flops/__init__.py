"""The FLOP engine: architecture x batch -> table of operations, parameters, memory.

FLOPs count multiply and add separately: 1 MAC = 2 FLOPs.
"""

from sim.flops.batch import Batch
from sim.flops.count import Memory, Parameters, component_parameters, memory, parameters
from sim.flops.features import Feature, attended_pairs, cached_tokens_read
from sim.flops.precision import (
    BF16,
    FP8,
    FP8_KV8,
    FP16,
    FP32,
    INT8,
    MXFP4,
    NF4,
    PRECISIONS,
    Format,
    Precision,
    precision,
)
from sim.flops.program import QUANTITIES, StepProgram, compile_step
from sim.flops.routing import experts_touched, imbalance, rank_loads
from sim.flops.table import OperationTable, flops_matmul_full, step_operations, table

__all__ = [
    "BF16",
    "FP8",
    "FP8_KV8",
    "FP16",
    "FP32",
    "INT8",
    "MXFP4",
    "NF4",
    "PRECISIONS",
    "QUANTITIES",
    "Batch",
    "Feature",
    "Format",
    "Memory",
    "OperationTable",
    "Parameters",
    "Precision",
    "StepProgram",
    "attended_pairs",
    "cached_tokens_read",
    "compile_step",
    "component_parameters",
    "experts_touched",
    "flops_matmul_full",
    "imbalance",
    "memory",
    "parameters",
    "precision",
    "rank_loads",
    "step_operations",
    "table",
]
