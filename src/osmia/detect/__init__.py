"""Bottleneck detectors: one file each, `detect(window) -> Finding | None`; pure."""
