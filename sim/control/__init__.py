"""Run-time rules: pure functions of a read-only view."""
