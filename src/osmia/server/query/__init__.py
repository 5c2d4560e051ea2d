"""Questions that pages ask, each a typed function of the store; `answers.py` has what they return."""
