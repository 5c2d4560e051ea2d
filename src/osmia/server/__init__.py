"""The platform: ingest, storage, queries, API. `app.py` is the composition root."""
