"""Boots each kernel of the matrix in qemu, runs `guest.py` there and on this machine, compares with what is declared.

    python -m tests.kernels.matrix [LINE ...]      make test-kernels

Emulated throughout (-accel tcg): a boot takes about four seconds, the whole some forty, and it is the same everywhere;
hardware acceleration inside virtual machines is often half there. Prints a table and writes build/kernels/results.json.
Exit code 1: something differs from what is declared; 2: the matrix cannot be run here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.kernels.image import (
    KERNELS,
    ROOT,
    Image,
    MatrixError,
    append_files,
    fetch_kernel,
    interpreter,
    search_path,
    write_base,
)

__all__ = ["COUNTERS", "EXPECTED", "differences", "main"]

_CACHE = ROOT / "build/kernels"
_GUEST = Path(__file__).with_name("guest.py")
_HOST = "host"
_MEMORY_MIB = 1536
_DEADLINE_S = 600
_NO_SWEEP = "before Linux 5.13 the size of a long response is told when it ends, not on its way"
_UNTRACKED = "the kernel tracks no connections, so no address is rewritten"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found on a kernel: features that are not named are on, objects that are not named load.

    `refused` are words of the reason, by object.
    """

    exit_code: int = 0
    features: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    has_modules: bool = True


# The dearer variants of the same programs, `requests_typed` and `requests`, take their places there.
_BEFORE_6_16 = {"requests_sockets": "'tcp_sendmsg_locked'"}
_BEFORE_6_2 = dict.fromkeys(("requests_sockets", "requests_typed"), "'bpf_rdonly_cast': not found")
_GUEST_FACTS = {"kernel": "ok", "BTF": "ok", "CAP_BPF": "ok", "CAP_SYS_ADMIN": "ok", "/proc": "ok", "cgroup": "ok"}
EXPECTED = {
    "5.10": Expected(
        1,
        {"capture": ("reduced", _NO_SWEEP)},
        _GUEST_FACTS | {"connection tracking": "ok", "locked memory": "ok"},
        _BEFORE_6_2,
    ),
    "6.1": Expected(0, {}, _GUEST_FACTS | {"connection tracking": "ok"}, _BEFORE_6_2),
    # Without the modules of connection tracking, as on a host that translates nothing.
    "6.12": Expected(
        0,
        {"conntrack": ("unused", _UNTRACKED)},
        _GUEST_FACTS | {"connection tracking": "note"},
        _BEFORE_6_16,
        has_modules=False,
    ),
}
"""Declared, kernel by kernel. Of the host only the exchanges are known beforehand."""

_UNUSED = {"kubernetes", "server"}
COUNTERS = {
    "client requests": 200,
    "server requests": 200,
    "client errors": 20,
    "server errors": 20,
    "client connections": 10,
    "server connections": 10,
    "events": 0,
}


# ---- running ---------------------------------------------------------------------------------------------------------


def _boot(image: Image, expected: Expected, directory: Path, base: Path) -> dict[str, Any]:
    """What `guest.py` found out on a kernel."""
    modules = image.modules if expected.has_modules else ()
    init, initramfs = directory / "init", directory / "initramfs"
    console, result = directory / "console", directory / "result"
    init.write_text(_init_script())
    init.chmod(0o755)
    files = {"init": init, "guest.py": _GUEST}
    files |= {f"modules/{number:02}-{module.name}": module for number, module in enumerate(modules)}
    shutil.copyfile(base, initramfs)
    append_files(initramfs, files)
    command = [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", str(_MEMORY_MIB), "-nographic"),
        *("-no-reboot", "-monitor", "none", "-serial", f"file:{console}", "-serial", f"file:{result}"),
        *("-kernel", str(image.vmlinuz), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet panic=-1"),
    ]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE_S, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        return {"error": f"{exc}\n{_last_words(console)}"}
    try:
        found: dict[str, Any] = json.loads(result.read_text())
    except (OSError, ValueError):
        return {"error": f"no result\n{_last_words(console)}"}
    return found


def _init_script() -> str:
    """The first process of the guest."""
    return f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin PYTHONPATH={search_path()} HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mkdir -p /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
for module in /modules/*; do test -e $module && insmod $module; done
read uptime rest < /proc/uptime
echo "up after $uptime s"
{interpreter()} /guest.py /tmp/result
cat /tmp/result > /dev/ttyS1
poweroff -f
"""


def _last_words(console: Path) -> str:
    return "\n".join(console.read_text(errors="replace").splitlines()[-25:]) if console.exists() else ""


def _here(directory: Path) -> dict[str, Any]:
    """The same on the running kernel."""
    result = directory / "result"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OSMIA_")}  # noqa: TID251 - handed on
    subprocess.run([sys.executable, _GUEST, result], env=environment, check=True, timeout=_DEADLINE_S)
    found: dict[str, Any] = json.loads(result.read_text())
    return found


# ---- comparing -------------------------------------------------------------------------------------------------------


def differences(found: dict[str, Any], expected: Expected | None) -> list[str]:
    """What is not as declared, one line each; `expected` is None on the host."""
    if "error" in found:
        return [found["error"]]
    refused = {} if expected is None else expected.refused
    return [
        *_of_objects(found["objects"], refused),
        *_of_check(found["check"], expected),
        *_of_counters(found["counters"]),
        *_of_exchanges(found["exchanges"]),
    ]


def _of_objects(objects: dict[str, str], refused: Mapping[str, str]) -> Iterator[str]:
    for name, reason in objects.items():
        wanted = refused.get(name, "")
        if bool(reason) != bool(wanted) or wanted not in reason:
            yield f"object {name}: {reason or 'loads'}, declared: {wanted or 'loads'}"


def _of_check(check: dict[str, Any], expected: Expected | None) -> Iterator[str]:
    if "error" in check:
        yield f"check: {check['error']}"
    elif expected is None:
        if check["features"]["capture"][0] != "on":
            yield f"check: capture is {check['features']['capture']}"
    else:
        if check["exit_code"] != expected.exit_code:
            yield f"check: exit code {check['exit_code']}, declared {expected.exit_code}"
        for name, (state, reason) in check["features"].items():
            wanted = expected.features.get(name, ("unused", reason) if name in _UNUSED else ("on", ""))
            if (state, reason) != wanted:
                yield f"check: {name} is {state} ({reason}), declared {wanted[0]} ({wanted[1]})"
        for name, standing in expected.facts.items():
            if check["machine"].get(name, ["absent"])[0] != standing:
                yield f"check: fact {name} is {check['machine'].get(name)}, declared {standing}"


def _of_counters(counters: dict[str, Any]) -> Iterator[str]:
    for name in sorted({*COUNTERS, *counters}):
        if counters.get(name) != COUNTERS.get(name):
            yield f"counters: {name} is {counters.get(name)}, expected {COUNTERS.get(name)}"


def _of_exchanges(exchanges: dict[str, Any]) -> Iterator[str]:
    if "error" in exchanges:
        yield f"exchanges: {exchanges['error']}"
        return
    expected, seen = exchanges["expected"], exchanges["seen"]
    for name in sorted({*expected, *seen}):
        if expected.get(name, 0) != seen.get(name, 0):
            yield f"exchanges: {name}: {seen.get(name, 0)} seen, {expected.get(name, 0)} made"


# ---- telling ---------------------------------------------------------------------------------------------------------


def _table(results: Mapping[str, dict[str, Any]]) -> Table:
    table = Table(
        "kernel", "release", "objects", "check", "not fully on", "counters", "requests seen / made", "s", "", box=None
    )
    for line, result in results.items():
        found = result["found"]
        check = found.get("check", {})
        features = check.get("features", {})
        reduced = [f"{name} {state}" for name, (state, _) in features.items() if state != "on" and name not in _UNUSED]
        exchanges = found.get("exchanges", {})
        made, seen = (sum(exchanges.get(name, {}).values()) for name in ("expected", "seen"))
        objects = found.get("objects", {})
        loaded = sum(1 for reason in objects.values() if not reason)
        is_counted = not list(_of_counters(found.get("counters", {})))
        table.add_row(
            line,
            found.get("release", "?"),
            f"{loaded} of {len(objects)}",
            str(check.get("exit_code", "?")),
            ", ".join(reduced) or "-",
            "exact" if is_counted else "[red]wrong[/]",
            f"{seen} / {made}",
            f"{result['took_s']:.0f}",
            "[red]✗[/]" if result["differences"] else "[green]✓[/]",
        )
    return table


def _run_all(lines: list[str]) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    _CACHE.mkdir(parents=True, exist_ok=True)
    images = {kernel.line: fetch_kernel(kernel, _CACHE) for kernel in KERNELS if kernel.line in lines}
    base = _CACHE / "base.cpio"
    write_base(base)
    for line in lines:
        began, expected = time.monotonic(), EXPECTED.get(line)
        with tempfile.TemporaryDirectory(dir=_CACHE) as directory:
            place = Path(directory)
            found = _here(place) if expected is None else _boot(images[line], expected, place, base)
        results[line] = {
            "took_s": round(time.monotonic() - began, 1),
            "differences": differences(found, expected),
            "found": found,
        }
        Console(stderr=True).print(f"{line}: {results[line]['took_s']} s", highlight=False)
    return results


def _require(lines: list[str]) -> None:
    if unknown := set(lines) - {*EXPECTED, _HOST}:
        raise MatrixError(f"no such kernel: {', '.join(sorted(unknown))} (known: {', '.join([*EXPECTED, _HOST])})")
    if os.geteuid() != 0:
        raise MatrixError("run it as root: on the host it captures")
    if shutil.which("qemu-system-x86_64") is None:
        raise MatrixError("qemu-system-x86_64 is not installed: make setup installs it as root")


def main(arguments: list[str]) -> int:
    """Run the lines asked for, all if none is named."""
    console = Console(width=max(120, Console().width))
    lines = arguments or [*(kernel.line for kernel in KERNELS), _HOST]
    try:
        _require(lines)
        results = _run_all(lines)
    except MatrixError as exc:
        console.print(f"[red]test-kernels: {exc}[/]")
        return 2
    (_CACHE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    console.print(_table(results))
    for line, result in results.items():
        for difference in result["differences"]:
            console.print(f"[red]{line}: {difference}[/]", highlight=False)
    return 1 if any(result["differences"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
