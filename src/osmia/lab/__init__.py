"""A small Kubernetes on one machine: namespaces as pods, real processes, a real-protocol API server."""
