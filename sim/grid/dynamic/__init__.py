"""Seconds: the frequency of an interconnection after a step, a trip or a pulsing load."""
