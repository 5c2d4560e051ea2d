"""Image names and how to run them here: the lab pulls nothing, it starts the programs of this machine.

An image of a manifest (`postgres:13.6`, `osmia/testserver`) becomes a command, an environment and a user. Images of
plain systems (`busybox`, `debian`, `osmia/host`) run whatever command the manifest gives.
"""

from __future__ import annotations

import pwd
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from osmia.lab.host import PATH, require_program
from osmia.model.errors import LabError

__all__ = ["IMAGES", "Launch", "launch_of", "postgres_directory"]

_POSTGRES_SCRIPT = """
umask 077
data="${PGDATA:-/var/lib/postgresql/data}"
user="${POSTGRES_USER:-postgres}"
if [ ! -s "$data/PG_VERSION" ]; then
  printf '%s' "${POSTGRES_PASSWORD:?set it, or the database would be open}" > "$TMPDIR/password"
  initdb --pgdata="$data" --no-sync --username="$user" --pwfile="$TMPDIR/password" --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 --wal-segsize=4 > /dev/null
  rm "$TMPDIR/password"
  echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
  database="${POSTGRES_DB:-$user}"
  [ "$database" = postgres ] ||
    echo "CREATE DATABASE \\"$database\\"" | postgres --single -D "$data" postgres > /dev/null
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories= -c fsync=off -c shared_buffers=16MB \
  -c max_wal_size=64MB -c min_wal_size=16MB -c max_connections=100 -c max_worker_processes=2 \
  -c max_parallel_workers=0 -c log_checkpoints=off -c checkpoint_warning=0 -c autovacuum_max_workers=1 -c jit=off "$@"
"""
_NGINX_CONF = (
    "daemon off; pid /run/nginx.pid; error_log stderr; worker_processes 1; events {} "
    'http { access_log /dev/stdout; server { listen 80; location / { return 200 "ok\\n"; } } }'
)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to execute: argument list, environment below the manifest's, user, and the signal that asks it to end."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    stop_signal: str = "TERM"


def launch_of(image: str, command: tuple[str, ...] | None, args: tuple[str, ...] | None) -> Launch:
    """How to run an image with a manifest's command and args (None = the image's own).

    Raises:
        LabError: no such image, a program is missing, or the image needs a command.
    """
    name = _plain_name(image)
    make = IMAGES.get(name)
    if make is None:
        known = ", ".join(sorted(IMAGES))
        raise LabError(f"the lab has no image {image!r}", remedy=f"it has: {known}")
    launch = make((*(command or ()), *(args or ())))
    if command is None:
        return launch
    return Launch((*command, *(args or ())), launch.environment, launch.user, launch.stop_signal)


def _plain_name(image: str) -> str:
    """The name without registry, `library/`, tag and digest: docker.io/library/postgres:13.6 -> postgres."""
    path = image.split("@", 1)[0]
    head, _, rest = path.partition("/")
    if rest and ("." in head or ":" in head or head == "localhost"):
        path = rest
    directory, _, last = path.rpartition("/")
    name = last.split(":", 1)[0]
    return f"{directory}/{name}" if directory and directory != "library" else name


def _postgres(args: tuple[str, ...]) -> Launch:
    binaries = postgres_directory()
    return Launch(
        ("sh", "-ec", _POSTGRES_SCRIPT, "postgres", *args),
        {"PATH": f"{binaries}:{PATH}", "LC_ALL": "C.UTF-8"},
        _user("postgres"),
        "INT",
    )


def postgres_directory() -> Path:
    """Where the newest PostgreSQL's programs are: Debian's versioned directory, or the search path.

    Raises:
        LabError: it is not installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    return (found[-1] if found else Path(require_program("postgres")).resolve()).parent


def _redis(args: tuple[str, ...]) -> Launch:
    program = require_program("redis-server")
    return Launch((program, "--save", "", "--bind", "*", "--protected-mode", "no", *args), user=_user("redis"))


def _nginx(args: tuple[str, ...]) -> Launch:
    script = f"mkdir -p /var/log/nginx; printf '%s' '{_NGINX_CONF}' > /run/nginx.conf; exec \"$0\" -c /run/nginx.conf"
    return Launch(("sh", "-ec", script, require_program("nginx"), *args), stop_signal="QUIT")


def _module(module: str) -> Callable[[tuple[str, ...]], Launch]:
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return lambda args: Launch((sys.executable, "-m", module, *args), environment)


def _agent(args: tuple[str, ...]) -> Launch:
    """This installation: `osmia` is on the path, as in the real image."""
    path = f"{Path(sys.executable).parent}:{PATH}"
    return Launch(args or ("osmia", "agent", "run"), {"PATH": path, "PYTHONUNBUFFERED": "1"})


def _idle(args: tuple[str, ...]) -> Launch:
    return Launch((sys.executable, "-m", "http.server", *(args or ("8300",))))


def _host(args: tuple[str, ...]) -> Launch:
    if not args:
        raise LabError("this image runs the machine's own programs", remedy="give the container a command or args")
    return Launch(args)


def _system(args: tuple[str, ...]) -> Launch:
    return Launch(args or ("sleep", "infinity"))


def _user(wanted: str) -> str:
    try:
        return pwd.getpwnam(wanted).pw_name
    except KeyError:
        return "nobody"


IMAGES: Mapping[str, Callable[[tuple[str, ...]], Launch]] = {
    "postgres": _postgres,
    "redis": _redis,
    "nginx": _nginx,
    "osmia/testserver": _module("osmia.lab.apps.testserver"),
    "osmia/currencies": _module("osmia.lab.apps.currencies"),
    "osmia/loadgen": _module("osmia.lab.apps.loadgen"),
    "osmia/idle": _idle,
    "osmia-agent": _agent,
    "osmia/host": _host,
    "busybox": _system,
    "alpine": _system,
    "debian": _system,
    "ubuntu": _system,
}
"""Image name -> maker of its launch from the args."""
