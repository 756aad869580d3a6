"""Readers of `config.json`, one small function per family. Importing registers them all."""

from sim.arch.readers import dense, hybrid, latent, moe, recurrent, ssm

__all__ = ["dense", "hybrid", "latent", "moe", "recurrent", "ssm"]
