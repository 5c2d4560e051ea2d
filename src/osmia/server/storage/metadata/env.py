"""Alembic's entry point: runs the steps in `versions/` on the connection that repository.py hands over."""

from __future__ import annotations

from alembic import context

from osmia.server.storage.metadata.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
