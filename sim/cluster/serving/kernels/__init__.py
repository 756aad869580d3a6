"""The compiled engine's kernels: plain loops over integer arrays (see `layout`)."""
