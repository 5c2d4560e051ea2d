"""The tables of the metadata, as SQLAlchemy sees them; `versions/` has the way here, one step per change."""

from __future__ import annotations

from sqlalchemy import BigInteger, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "ClusterRow", "ReceiptRow"]


class Base(DeclarativeBase):
    """Base of every table; constraint names are fixed so that migrations can name them on either database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ClusterRow(Base):
    """One monitored cluster (or set of hosts). Its ingest key is derived, not stored: see auth/keys.py."""

    __tablename__ = "clusters"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    key_version: Mapped[int]


class ReceiptRow(Base):
    """A batch that is in the store; a repetition is acknowledged and not stored again."""

    __tablename__ = "receipts"

    token: Mapped[str] = mapped_column(String(300), primary_key=True)
    stored_ms: Mapped[int] = mapped_column(BigInteger, index=True)
