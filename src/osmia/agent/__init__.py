"""The agent: from the kernel to numbered batches for the server. `daemon.py` is the composition root."""
