"""The lab's container runtime: cgroups as kubelet names them, sandboxes, containers as real processes, images."""
