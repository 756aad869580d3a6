"""Readers of `config.json`, one small function per family. Importing registers them all."""

from sim.arch.readers import dense, moe, ssm

__all__ = ["dense", "moe", "ssm"]
