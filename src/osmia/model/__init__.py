"""The vocabulary every part of Osmia shares: frozen values, the histogram, the error tree, the wire tables.

Nothing here does I/O or reads a clock, and nothing here imports the rest of Osmia.
"""
