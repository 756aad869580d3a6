"""The FLOP engine: architecture x batch -> a table of operations (FLOPs and bytes)."""
