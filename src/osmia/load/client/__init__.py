"""Transports: what sends requests, times and counts them; `transport` is the seam that all of them share."""
