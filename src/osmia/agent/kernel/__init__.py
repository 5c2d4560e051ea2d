"""The only code that touches libbpf: load, attach, drain the ring, read the maps."""
