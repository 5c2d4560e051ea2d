"""What a virtual machine needs to boot into the agent: Debian's kernels, and an initramfs with Python and the package.

The kernels come from Debian's archive by apt, with a sources list of our own that takes the host from the machine's
(so no address stands here) and only swaps the suite. Nothing is installed. The initramfs holds busybox, this Python
with its standard library, the packages that the agent imports, and Osmia as it lies in the work tree, all under the
paths they have here.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "KERNELS",
    "Image",
    "Kernel",
    "MatrixError",
    "append_files",
    "fetch_kernel",
    "newest",
    "program",
    "write_base",
]

ROOT = Path(__file__).parents[2]
_SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
_MIRROR = re.compile(r"https?://\S+/debian/?(?=\s|$)")
_KERNEL_PACKAGE = re.compile(r"^linux-image-[0-9]\S*-cloud-amd64(-unsigned)?$", re.MULTILINE)
_MODULES = ("nf_defrag_ipv4", "nf_defrag_ipv6", "libcrc32c", "nf_conntrack", "nfnetlink", "nf_conntrack_netlink")
_PACKAGES = (
    *("_cffi_backend*", "_yaml", "aiohappyeyeballs", "aiohttp", "aiosignal", "anyio", "attr", "attrs", "click"),
    *("frozenlist", "idna", "markdown_it", "mdurl", "msgspec", "multidict", "nanoarrow", "numpy", "numpy.libs"),
    *("propcache", "pygments", "rich", "sniffio", "structlog", "typing_extensions.py", "yaml", "yarl", "zstandard"),
)
_LEFT_OUT = {"tests", "test", "idlelib", "lib2to3", "tkinter", "ensurepip", "turtledemo", "pydoc_data"}
_LEFT_OUT_ENDS = (".pyi", ".a", ".c", ".h", ".pxd", ".pyx", ".draft", ".opt-1.pyc", ".opt-2.pyc")
_LEFT_OUT_MODULES = re.compile(r"(_tkinter|_sqlite3|_test|_ctypes_test|_xxtestfuzz|xxlimited).*\.so$")
_PLACES = ("dev", "proc", "sys", "tmp", "run", "root", "etc", "bin", "sbin", "usr/bin")


class MatrixError(Exception):
    """The matrix cannot be run here, and what to do."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel line, and the suite of Debian that carries it."""

    line: str
    suite: str


KERNELS = (Kernel("5.10", "bullseye"), Kernel("6.1", "bookworm"), Kernel("6.12", "trixie"))


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked kernel package: the bootable image, its release and the modules that connection tracking needs."""

    kernel: Kernel
    release: str
    vmlinuz: Path
    modules: tuple[Path, ...]


# ---- kernels ---------------------------------------------------------------------------------------------------------


def fetch_kernel(kernel: Kernel, cache: Path) -> Image:
    """The newest cloud kernel of a suite, from the cache or from Debian's archive.

    Raises:
        MatrixError: apt cannot give it.
    """
    place = cache / kernel.suite
    if not (place / "boot").is_dir():
        draft = place.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _unpack(_download(kernel, draft), draft)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
    vmlinuz = next((place / "boot").glob("vmlinuz-*"))
    return Image(kernel, vmlinuz.name.removeprefix("vmlinuz-"), vmlinuz, _modules(place))


def _modules(place: Path) -> tuple[Path, ...]:
    """In the order in which they have to be loaded."""
    found = {path.name.partition(".")[0]: path for path in place.rglob("*.ko")}
    return tuple(found[name] for name in _MODULES if name in found)


def _download(kernel: Kernel, place: Path) -> Path:
    sources, lists = place / "sources.list", place / "lists"
    (lists / "partial").mkdir(parents=True)
    (place / "cache/archives/partial").mkdir(parents=True)
    keyring = next(iter(sorted(Path("/usr/share/keyrings").glob("debian-archive-keyring.*"))), None)
    options = "target=Packages lang=none" + (f" signed-by={keyring}" if keyring else "")
    sources.write_text(f"deb [{options}] {_mirror()} {kernel.suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": lists,
        "Dir::Cache": place / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
    }
    options_given = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _apt(kernel, ["apt-get", *options_given, "-qq", "update"], place)
    names = _apt(kernel, ["apt-cache", *options_given, "pkgnames", "linux-image-"], place)
    package = newest(names)
    if package is None:
        raise MatrixError(f"{kernel.suite} of {_mirror()} carries no linux-image-*-cloud-amd64")
    _apt(kernel, ["apt-get", *options_given, "-qq", "download", package], place)
    return next(place.glob("*.deb"))


def newest(names: str) -> str | None:
    """The package of the newest cloud kernel among package names."""
    found = [match[0] for match in _KERNEL_PACKAGE.finditer(names)]

    def version(name: str) -> tuple[object, ...]:
        # An unsigned one is the same kernel without a signature: it is there also where the signed one is not.
        return (*(int(number) for number in re.findall(r"\d+", name.partition("-cloud")[0])), "unsigned" not in name)

    return max(found, key=version, default=None)


def _apt(kernel: Kernel, command: list[str], place: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    if done.returncode:
        words = " ".join(done.stderr.split())[:600]
        raise MatrixError(
            f"the {kernel.line} kernel ({kernel.suite}) cannot be had by {command[0]}: {words}. Is the archive there?"
        )
    return done.stdout


def _mirror() -> str:
    """Debian's archive as this machine knows it."""
    files = [_SOURCES[0], *sorted(_SOURCES[1].glob("*"))]
    texts = [path.read_text(errors="replace") for path in files if path.is_file()]
    lines = [line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in lines:
        if match := _MIRROR.search(line):
            return match[0]
    raise MatrixError("no Debian archive in apt's sources: the matrix takes its kernels from there")


def _unpack(package: Path, place: Path) -> None:
    """The image and the few modules; the rest of the package is left out."""
    archive = subprocess.run(["dpkg", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    wanted = re.compile(r"\./boot/vmlinuz-|.*/(" + "|".join(_MODULES) + r")\.ko(\.xz)?$")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(place, [one for one in tar if one.isfile() and wanted.match(one.name)], filter="data")
    for compressed in place.rglob("*.ko.xz"):
        subprocess.run(["xz", "--decompress", compressed], check=True)
    for leftover in ("lists", "cache"):
        shutil.rmtree(place / leftover)
    package.unlink()


# ---- initramfs -------------------------------------------------------------------------------------------------------


def write_base(target: Path) -> None:
    """An archive with everything that all kernels share."""
    entries: dict[str, Path] = {}
    for source in _python_files():
        entries[str(source).lstrip("/")] = source
    busybox = program("busybox")
    if busybox is None:
        raise MatrixError("busybox is not installed: make setup installs it (busybox-static)")
    entries["bin/busybox"] = busybox
    for library in _libraries(path for path in entries.values() if _is_elf(path)):
        entries[str(library).lstrip("/")] = library
    with target.open("wb") as file:
        _write_cpio(file, entries)


def append_files(archive: Path, files: dict[str, Path]) -> None:
    """Add `files` (path in the guest -> file here): the kernel unpacks one archive after the other."""
    with archive.open("ab") as file:
        _write_cpio(file, files)


def interpreter() -> Path:
    """The Python that this one is a virtual environment of."""
    return Path(sys.executable).resolve()


def search_path() -> str:
    """PYTHONPATH of the guest."""
    return f"{ROOT / 'src'}:{sysconfig.get_path('purelib')}"


def _python_files() -> Iterator[Path]:
    yield interpreter()
    yield from _tree(Path(sysconfig.get_path("stdlib")), {*_LEFT_OUT, "site-packages", "dist-packages"})
    packages = Path(sysconfig.get_path("purelib"))
    for path in (found for name in _PACKAGES for found in packages.glob(name)):
        if path.is_dir():
            yield from _tree(path, _LEFT_OUT)
        else:
            yield path
    for name in ("__init__.py", "__main__.py", "cli.py", "settings.py", "telemetry.py"):
        yield ROOT / "src/osmia" / name
    for name in ("agent", "model", "protocols"):
        yield from _tree(ROOT / "src/osmia" / name, set())


def _tree(top: Path, left_out: set[str]) -> Iterator[Path]:
    for directory, names, files in os.walk(top):
        names[:] = [name for name in names if name not in left_out and not name.startswith("config-")]
        for name in files:
            if not name.endswith(_LEFT_OUT_ENDS) and not _LEFT_OUT_MODULES.match(name):
                yield Path(directory) / name


def _libraries(binaries: Iterable[Path]) -> set[Path]:
    """Every shared library that these need, as the loader finds it."""
    found: set[str] = set()
    for binary in binaries:
        done = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            words = line.split()
            found.update(os.path.normpath(word) for word in words if word.startswith("/") and not word.endswith(":"))
    return {Path(name) for name in found}


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def program(name: str) -> Path | None:
    """Where a program is installed."""
    path = shutil.which(name)
    return Path(path) if path else None


def _write_cpio(file: io.BufferedIOBase, entries: dict[str, Path]) -> None:
    """The "newc" format of the kernel's documentation (early-userspace/buffer-format)."""
    directories = {str(parent) for name in entries for parent in Path(name).parents} | set(_PLACES)
    for number, name in enumerate(sorted(directories - {"."}), 1):
        _write_entry(file, name, mode=stat.S_IFDIR | 0o755, mtime=0, data=b"", number=number)
    for number, (name, source) in enumerate(sorted(entries.items()), len(directories) + 1):
        info = source.stat()
        _write_entry(file, name, mode=info.st_mode, mtime=int(info.st_mtime), data=source.read_bytes(), number=number)
    _write_entry(file, "TRAILER!!!", mode=0, mtime=0, data=b"", number=0)


def _write_entry(  # noqa: PLR0913 - a file
    file: io.BufferedIOBase, name: str, *, mode: int, mtime: int, data: bytes, number: int
) -> None:
    path = name.encode() + b"\0"
    # Inode, mode, uid, gid, links, time, size, device (4 numbers), length of the name, checksum.
    numbers = (number, mode, 0, 0, 1, mtime, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % one for one in numbers)
    file.write(head + path + b"\0" * (-(len(head) + len(path)) % 4))
    file.write(data + b"\0" * (-len(data) % 4))
