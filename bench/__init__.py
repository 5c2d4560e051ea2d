"""Benchmarks: one module per part, each with `BENCHES`; `make bench` runs them all.

A benchmark compares with something measured in the same run, so that its ratio means the same on any machine.
"""
