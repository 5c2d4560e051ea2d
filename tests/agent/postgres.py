"""A real PostgreSQL of our own: Debian's binaries, a temporary cluster, no TLS, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _binary(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    return str(found[-1])


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def postgres_server() -> Iterator[int]:
    """A server that trusts everybody on 127.0.0.1; yields its port."""
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    user, group = (account.pw_uid, account.pw_gid) if account else (None, None)
    home = Path(tempfile.mkdtemp(prefix="osmia-pg-"))
    if account:
        os.chown(home, account.pw_uid, account.pw_gid)
    port = free_port()
    data = home / "data"
    subprocess.run(
        [_binary("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=home,
        user=user,
        group=group,
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {home}"
    control = [_binary("pg_ctl"), "-D", str(data), "-w"]
    log = home / "log"
    command = [*control, "-o", options, "-l", str(log), "start"]
    subprocess.run(command, check=True, capture_output=True, cwd=home, user=user, group=group)
    try:
        yield port
    finally:
        command = [*control, "-m", "immediate", "stop"]
        subprocess.run(command, check=True, capture_output=True, cwd=home, user=user, group=group)
        shutil.rmtree(home)
