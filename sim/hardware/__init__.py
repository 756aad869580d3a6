"""Devices, nodes and links: roofline peaks, efficiency, collectives, power."""
