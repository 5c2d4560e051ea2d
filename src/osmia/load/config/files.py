"""Files that a config names: bodies, form fields, CSV, certificates; on this machine or behind a URL."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TypeAlias

from osmia.model.errors import InputError

__all__ = ["MAX_BYTES", "Fetch", "Files", "fetch_url", "is_there", "is_url"]

Fetch: TypeAlias = Callable[[str], bytes]
"""Gives what stands behind an http or https URL; raises `InputError` or `OSError`."""

MAX_BYTES = 256 << 20
"""A file is held whole in every worker."""
_TIMEOUT_S = 30.0


def is_url(where: str) -> bool:
    """Whether it is fetched rather than read."""
    return where.lower().startswith(("http://", "https://"))


def is_there(path: Path) -> bool:
    """Whether there is such a file; a name that the system cannot have (too long) is of none."""
    try:
        return path.exists()
    except OSError:
        return False


def fetch_url(url: str) -> bytes:
    """What stands behind the URL.

    Raises:
        InputError: nothing could be fetched, or too much.
    """
    if not is_url(url):
        raise InputError(f"{url} is no http or https URL")
    request = urllib.request.Request(url, headers={"User-Agent": "osmia"})  # noqa: S310 - http or https, see above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - same
            found: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(f"it cannot be fetched: {getattr(error, 'reason', error)}") from error
    if len(found) > MAX_BYTES:
        raise InputError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return found


class Files:
    """Reads and fetches, each file once. Relative paths: the working directory (as the original), then the config's."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._fetch = fetch
        self._known: dict[str, bytes] = {}

    def content(self, where: str) -> bytes:
        """What the file or URL holds.

        Raises:
            InputError: why it cannot be had.
        """
        if where not in self._known:
            try:
                self._known[where] = self._fetch(where) if is_url(where) else self._read(where)
            except (OSError, ValueError) as error:
                raise InputError(_reason(error), remedy=self._remedy(where)) from error
        return self._known[where]

    def path(self, where: str) -> Path:
        """Where the file is."""
        path = Path(where)
        beside = self._folder / path
        return beside if not is_there(path) and is_there(beside) else path

    def check_certificate(self, cert: Path, key: Path) -> None:
        """Whether the pair can be used.

        Raises:
            InputError: why not.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_cert_chain(cert, key, password=lambda: "")
        except ssl.SSLError as error:
            reason = error.reason or "not understood"
            raise InputError(f"certificate and key do not work together: {reason.replace('_', ' ').lower()}") from error
        except (OSError, ValueError) as error:
            raise InputError(_reason(error)) from error

    def _read(self, where: str) -> bytes:
        path = self.path(where)
        if path.exists() and not path.is_file():
            raise InputError("it is no file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"it is larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()

    def _remedy(self, where: str) -> str:
        if is_url(where) or Path(where).is_absolute():
            return ""
        return "looked for in " + " and ".join(dict.fromkeys((str(Path.cwd()), str(self._folder.absolute()))))


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return str(getattr(error, "strerror", "") or error)
