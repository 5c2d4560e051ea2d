"""Osmia: Kubernetes monitoring and bottleneck detection with eBPF, fused with load testing."""

__all__ = ["__version__"]

__version__ = "0.1.0"
