"""The grid graph and what limits it."""
