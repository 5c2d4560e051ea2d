"""Ingest keys that no database holds: each is derived from the server's secret and the cluster's id.

The install page must show a cluster's key again and again, so a one-way hash of a random key would not do, and a
stored key would leak with any backup of the metadata. Derived keys give both: the metadata has nothing to steal,
and raising a cluster's key version revokes its key. The secret is a file of mode 0600 beside the data.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from osmia.model.errors import ConfigError

__all__ = ["KeyRing", "new_cluster_id"]

_SECRET_BYTES = 32
_PREFIX = "osk_"


def new_cluster_id() -> str:
    """A fresh monitoring id: 16 hex digits."""
    return secrets.token_hex(8)


class KeyRing:
    """Makes and checks the ingest keys of every cluster."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def open(cls, path: Path) -> KeyRing:
        """Read the secret, or make one on the first start.

        Raises:
            ConfigError: the file is there but does not hold a secret.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = path.read_bytes()
            if len(secret) != _SECRET_BYTES:
                raise ConfigError(
                    "data",
                    str(path),
                    f"holds {len(secret)} bytes instead of {_SECRET_BYTES}",
                    remedy="restore it from a backup; removing it changes every ingest key",
                ) from None
            return cls(secret)
        with os.fdopen(descriptor, "wb") as file:
            secret = secrets.token_bytes(_SECRET_BYTES)
            file.write(secret)
        return cls(secret)

    def key(self, cluster_id: str, version: int) -> str:
        """The ingest key of one cluster."""
        digest = hmac.new(self._secret, f"ingest|{cluster_id}|{version}".encode(), hashlib.sha256).digest()
        return _PREFIX + base64.urlsafe_b64encode(digest[:24]).decode("ascii")

    def is_valid(self, cluster_id: str, version: int, *, key: str) -> bool:
        """Whether this is the cluster's key, compared in constant time."""
        return hmac.compare_digest(self.key(cluster_id, version).encode(), key.encode())
