"""Scenario files: schema, load, resolve, override, build, run."""
