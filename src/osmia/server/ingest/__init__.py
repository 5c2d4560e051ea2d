"""From an agent's POST to the store: decode, check, name remote peers, queue, acknowledge."""
