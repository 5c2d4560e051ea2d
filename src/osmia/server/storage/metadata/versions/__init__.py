"""The way to the newest tables, one step per file."""
