"""Build hook: compiles the BPF objects, the libbpf binding, the load engine's core and the web UI into the package.

    bpf/*/*.bpf.c                    -> src/osmia/agent/kernel/<name>.<arch>.bpf.o   (clang, stripped of DWARF)
    agent/kernel/*.[ch]              -> src/osmia/agent/kernel/_bpf.abi3.so          (cffi, links libbpf)
    load/client/core/*.pyx           -> src/osmia/load/client/core/<name>.<python>.so (Cython, links OpenSSL, nghttp2)
    ui/                              -> src/osmia/web/                               (npm; skipped where already built)

Each part can be left out by its absence on a machine that cannot build it: the wheel then works without that part
and says so at run time. OSMIA_BUILD=strict turns every such omission into an error (CI and releases).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
KERNEL = ROOT / "src/osmia/agent/kernel"
CORE = ROOT / "src/osmia/load/client/core"
MACHINES = {"x86_64": "x86", "aarch64": "arm64"}


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling ships no parameter
    """Runs before the wheel (or the editable install) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile what this machine can; the wheel fits only the platform and, with the core, only this Python."""
        del version
        if self.target_name == "sdist":
            return
        strict = os.environ.get("OSMIA_BUILD") == "strict"
        for part in (compile_bpf, compile_binding, compile_core, build_ui):
            _attempt(part, strict=strict)
        build_data["pure_python"] = False
        build_data["tag"] = f"{_python_tag()}-{_platform_tag()}"


def compile_bpf() -> None:
    """Every program for both architectures; vmlinux.h is ours, so no running kernel is consulted."""
    for source in sorted((ROOT / "bpf").glob("*/*.bpf.c")):
        for architecture in MACHINES.values():
            target = KERNEL / f"{source.name.removesuffix('.bpf.c')}.{architecture}.bpf.o"
            command = ["clang", "-g", "-O2", "-target", "bpf", "-mcpu=v2", f"-D__TARGET_ARCH_{architecture}"]
            warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
            draft = target.with_suffix(".draft")
            subprocess.run([*command, *warnings, f"-I{ROOT / 'bpf'}", "-c", source, "-o", draft], check=True)
            subprocess.run(["llvm-strip", "-g", draft], check=True)
            draft.replace(target)  # a failed build leaves the last good object


def compile_binding() -> None:
    """The cffi extension, in API mode and for the stable ABI."""
    from cffi import FFI

    ffi = FFI()
    for header in ("binding.h", "object.h"):
        ffi.cdef((KERNEL / header).read_text())
    ffi.set_source(
        "_bpf",
        (KERNEL / "binding.c").read_text() + '\n#include "object.h"\n',
        sources=[str(KERNEL / "object.c")],
        libraries=["bpf", "elf", "z"],
        include_dirs=[str(KERNEL), str(ROOT / "bpf")],
        extra_compile_args=["-O2", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter"],
        py_limited_api=True,
    )
    build = ROOT / "build/binding"
    build.mkdir(parents=True, exist_ok=True)
    built = Path(ffi.compile(tmpdir=str(build), verbose=False))
    # By renaming: a process that runs with the old library keeps it; written over, it would crash.
    draft = KERNEL / "_bpf.abi3.so.draft"
    shutil.copy2(built, draft)
    draft.replace(KERNEL / "_bpf.abi3.so")


def compile_core() -> None:
    """The load engine's data plane, one extension per .pyx; only what is older than any of the sources."""
    build = ROOT / "build/core"
    build.mkdir(parents=True, exist_ok=True)
    shared = [*CORE.glob("*.px[di]"), ROOT / "bpf/lib/histogram.h", Path(__file__)]
    newest = max(path.stat().st_mtime for path in shared)
    sources = [
        source
        for source in sorted(CORE.glob("*.pyx"))
        if not _extension(source).exists() or _extension(source).stat().st_mtime < max(newest, source.stat().st_mtime)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_compile_extension, sources))


def _extension(source: Path) -> Path:
    """Not abi3: the stable ABI has none of the calls that make a script's step cost less than a microsecond."""
    return source.with_name(source.stem + sysconfig.get_config_var("EXT_SUFFIX"))


def _compile_extension(source: Path) -> None:
    generated = ROOT / "build/core" / f"{source.stem}.c"
    strict = ["-Werror"] if os.environ.get("OSMIA_BUILD") == "strict" else []  # a newer gcc may know new warnings
    cython = [sys.executable, "-m", "cython", "-3", *strict, "-I", str(ROOT / "src")]
    subprocess.run([*cython, source, "-o", generated], check=True)
    draft = _extension(source).with_suffix(".draft")
    flags = ["-O3", "-g1", "-fPIC", "-shared", "-fno-strict-aliasing", "-Wall", *strict]
    unused = ["-Wno-unused-function", "-Wno-unused-variable"]
    includes = [f"-I{sysconfig.get_paths()['include']}", f"-I{ROOT / 'bpf'}"]
    libraries = ["-lssl", "-lcrypto", "-lnghttp2", "-lpthread"]
    subprocess.run(["gcc", *flags, *unused, *includes, generated, "-o", draft, *libraries], check=True)
    draft.replace(_extension(source))  # by renaming, as above


def build_ui() -> None:
    """The web pages, unless src/osmia/web is newer than every source of them."""
    target = ROOT / "src/osmia/web/index.html"
    sources = [path for path in (ROOT / "ui").rglob("*") if path.is_file() and "node_modules" not in path.parts]
    if not (ROOT / "ui/package.json").exists():
        return
    if target.exists() and all(path.stat().st_mtime <= target.stat().st_mtime for path in sources):
        return
    if not (ROOT / "ui/node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT / "ui", check=True)
    subprocess.run(["npm", "run", "build"], cwd=ROOT / "ui", check=True)


def _attempt(part: Callable[[], None], *, strict: bool) -> None:
    try:
        part()
    except Exception as exc:  # cffi raises its compiler's own errors
        if strict:
            raise
        print(f"osmia build: {part.__name__} left out: {exc}", file=sys.stderr)


def _python_tag() -> str:
    if not any(CORE.glob("*.so")):
        return "cp311-abi3"
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{version}-{version}"


def _platform_tag() -> str:
    return f"linux_{platform.machine()}" if sys.platform == "linux" else "any"
