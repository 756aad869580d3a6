"""Batches of runs: expand, plan, run, resume, collect."""
