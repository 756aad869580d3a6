"""A server node, its links, and the network and storage that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from sim.datum import Datum
from sim.errors import UnknownNameError
from sim.hardware.device import Device, device_figures, load_device
from sim.hardware.figures import NODE_SECTIONS, is_file, over, read_file, shipped


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
    psu_fixed_loss_frac: float
    nvlink: Link
    network: Link
    switches_per_gpu: float
    switch_w: float
    storage_servers_per_gpu: float
    storage_server_w: float
    storage_write_bytes_per_s_per_server: float
    figures: tuple[Datum, ...]

    def psu_loss_w(self, dc_w: float, nodes: int = 1) -> float:
        """Loss of the supplies of so many nodes that give `dc_w` in all: constant + proportional.

        At the rated power it is what the efficiency says; the constant part stays at any load.
        """
        fixed_w = nodes * self.psu_fixed_loss_frac * (1 - self.psu_efficiency_frac) * self.rated_w
        return fixed_w + dc_w * (1 - self.psu_fixed_loss_frac) * (1 / self.psu_efficiency_frac - 1)


NODES: Final = {
    "dgx-h100": "h100-sxm",
    "dgx-h200": "h200-sxm",
    "hgx-h800": "h800-sxm",
    "dgx-a100": "a100-80-sxm",
    "dgx1-v100": "v100-sxm",
    "dgx-b200": "b200-sxm",
}
"""Node name -> its device; the data file bears the node's name."""

REFERENCE: Final = "dgx-h100"
"""The node that a device file's own sections stand over."""

LLAMA3_STORAGE_SERVERS: Final = 7500
"""Servers behind the published storage bandwidth (see the data file's source)."""


def load_node(name: str = REFERENCE) -> Node:
    """A node by name, or around the GPU of a device file.

    Raises:
        UnknownNameError: no such node.
        InputError: the file is wrong.
    """
    return _shipped_node(name) if not is_file(name) else _node(name, name)


def node_of(gpu: str) -> Node:
    """The node around a GPU, by `--gpu NAME_OR_FILE`.

    Raises:
        UnknownNameError: no such GPU.
        InputError: the file is wrong.
    """
    if is_file(gpu):
        return _node(gpu, gpu)
    load_device(gpu)  # raises for an unknown name
    return load_node(next(name for name, device in NODES.items() if device == gpu))


@cache
def _shipped_node(name: str) -> Node:
    figures = node_figures(name)
    return build_node(name, figures, load_device(NODES[name]))


def _node(name: str, gpu: str) -> Node:
    return build_node(name, node_figures(name), load_device(gpu))


def gpu_of(node: str) -> str:
    """The GPU in a node, by the node's name; a device file is its own node.

    Raises:
        UnknownNameError: no such node.
    """
    if is_file(node):
        return node
    if node not in NODES:
        raise UnknownNameError("node", node, NODES)
    return NODES[node]


def plant_figures(node: str) -> tuple[Datum, ...]:
    """Every figure of a node and of its GPU, for lists of sources."""
    return (*device_figures(gpu_of(node)).values(), *node_figures(node).values())


def node_figures(name: str) -> dict[str, Datum]:
    """All figures of a node, the gaps of its file filled from the node that it is like.

    Raises:
        UnknownNameError: no such node.
    """
    if is_file(name):
        _, found = read_file(Path(name))
        own = {key: f for key, f in found.items() if key.split(".")[0] in NODE_SECTIONS}
        return _over_reference(own, name)
    if name not in NODES:
        raise UnknownNameError("node", name, NODES)
    head, own = shipped(name)
    return _over_reference(own, NODES[name]) if head.like else own


def _over_reference(own: dict[str, Datum], gpu: str) -> dict[str, Datum]:
    """Figures over the reference node's; its powers stay, but for the rated one."""
    base = node_figures(REFERENCE)
    rated = {"node.rated_w"} - own.keys()
    scale = device_figures(gpu)
    limits = {"power.limit_w": device_figures(NODES[REFERENCE])["power.limit_w"]}
    found = dict(over(own, base, REFERENCE, scale={}))
    for key in rated:
        found[key] = over({}, {key: base[key]} | limits, REFERENCE, scale=scale)[key]
    return found


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
        psu_fixed_loss_frac=f["node.psu_fixed_loss_frac"].value,
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
