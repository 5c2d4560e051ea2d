"""The story in one command: lab, server, agent and load together, and the check that they tell the truth."""
