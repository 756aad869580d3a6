"""Observers: exact integrals of signals, tables, run folders."""
