"""A server node, its links, and the network and storage that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sim.datum import Datum, data
from sim.errors import UnknownNameError
from sim.hardware.device import Device, load_device


@dataclass(frozen=True, slots=True)
class Link:
    """A link of one GPU: achieved bytes/s in one direction, and the latency of one message."""

    bytes_per_s: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Node:
    """A server with its GPUs; powers are per node, at the point that each name says."""

    name: str
    device: Device
    gpus: int
    rated_w: float
    host_w: float
    fan_frac: float
    psu_efficiency_frac: float
    nvlink: Link
    network: Link
    switches_per_gpu: float
    switch_w: float
    storage_servers_per_gpu: float
    storage_server_w: float
    storage_write_bytes_per_s_per_server: float
    figures: tuple[Datum, ...]


NODES = {"dgx-h100": "h100-sxm"}
"""Node name -> its device; the data file bears the node's name."""

LLAMA3_STORAGE_SERVERS = 7500
"""Servers behind the published storage bandwidth (see the data file's source)."""


@cache
def load_node(name: str = "dgx-h100") -> Node:
    """A node by name.

    Raises:
        UnknownNameError: no such node.
    """
    figures = node_figures(name)
    return build_node(name, figures, load_device(NODES[name]))


def node_figures(name: str) -> dict[str, Datum]:
    """The figures of a node's data file."""
    if name not in NODES:
        raise UnknownNameError("node", name, NODES)
    return data(f"hardware/{name}.yaml")


def build_node(name: str, f: Mapping[str, Datum], device: Device) -> Node:
    """A node from its figures, for example sampled ones."""
    return Node(
        name=name,
        device=device,
        gpus=int(f["node.gpus"].value),
        rated_w=f["node.rated_w"].value,
        host_w=f["node.host_w"].value,
        fan_frac=f["node.fan_frac"].value,
        psu_efficiency_frac=f["node.psu_efficiency_frac"].value,
        nvlink=Link(
            f["links.nvlink_bytes_per_s"].value * f["links.nvlink_frac"].value,
            f["links.nvlink_latency_s"].value,
        ),
        network=Link(
            f["links.network_bytes_per_s"].value * f["links.network_frac"].value,
            f["links.network_latency_s"].value,
        ),
        switches_per_gpu=f["network.switches_per_port_tier"].value
        / f["network.switch_ports"].value,
        switch_w=f["network.switch_w"].value,
        storage_servers_per_gpu=f["storage.servers_per_gpu"].value,
        storage_server_w=f["storage.server_w"].value,
        storage_write_bytes_per_s_per_server=f["storage.write_bytes_per_s"].value
        / LLAMA3_STORAGE_SERVERS,
        figures=tuple(f.values()),
    )
