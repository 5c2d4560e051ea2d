"""Clusters and the receipts of stored batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "clusters",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clusters"),
    )
    op.create_table(
        "receipts",
        sa.Column("token", sa.String(300), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_receipts"),
    )
    op.create_index("ix_receipts_stored_ms", "receipts", ["stored_ms"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("receipts")
    op.drop_table("clusters")
