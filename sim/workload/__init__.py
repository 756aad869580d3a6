"""Requests: traces, arrivals, lengths; training jobs. Own random streams."""
