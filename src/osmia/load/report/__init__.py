"""What is said about a run: while it goes on (`live`), at its end (`text`, `original`, `debug`) and in files (`write`).

Every report reads `osmia.load.results`; their figures come from `figures` and `document`, so that they agree.
"""
