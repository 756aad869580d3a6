"""Hypothesis strategies for the inputs of flopgrid; needs the extra `testing`."""
