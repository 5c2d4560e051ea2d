"""How the sample applications become web servers: gunicorn with threads and keep-alive, as one would run them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["serve"]


def serve(application: str, *, port: int, threads: int) -> None:
    """Become gunicorn serving `module:name`; never returns.

    The application is loaded before the port opens, so that an open port means a working application.
    """
    arguments = [
        *(f"--bind=0.0.0.0:{port}", "--workers=1", "--worker-class=gthread", f"--threads={threads}"),
        *("--preload", "--keep-alive=75", "--graceful-timeout=5", "--worker-tmp-dir=/dev/shm", "--log-level=warning"),
        *("--no-control-socket", application),
    ]
    script = Path(sys.executable).with_name("gunicorn")  # run by name, the process is called gunicorn, not python
    start = [str(script)] if script.exists() else [sys.executable, "-m", "gunicorn"]
    os.execv(start[0], [*start, *arguments])  # noqa: S606 - becoming it is the point
