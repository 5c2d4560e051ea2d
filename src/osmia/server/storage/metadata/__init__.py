"""What people set up (clusters, and later users, rules, plans): SQLAlchemy on SQLite or PostgreSQL."""

from osmia.server.storage.metadata.repository import ClusterRecord, MetadataStore, NameTakenError

__all__ = ["ClusterRecord", "MetadataStore", "NameTakenError"]
