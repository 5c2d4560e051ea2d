"""The disk spool: whole batches in order within a bound, whatever dies, fills up or tears."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.agent.spool import Batch, Spool, spool_directory
from osmia.model.errors import UnavailableError
from osmia.model.wire import Table

MIB = 1 << 20


def windows(sequence: int, *, requests: int = 10, size: int = 100) -> Batch:
    """A batch of windows that counts some requests."""
    return Batch(Table.WINDOWS, sequence, 1, requests, bytes([sequence % 251]) * size)


def all_of(spool: Spool) -> list[Batch]:
    """Everything in the spool, oldest first, taken out."""
    taken = []
    while batches := spool.oldest(3):
        taken += batches
        for batch in batches:
            spool.drop(batch)
    return taken


def test_batches_come_back_in_order_with_their_numbers(tmp_path: Path) -> None:
    """Numbers need not grow: the order is that of arrival."""
    batches = [windows(number) for number in (500, 3, 2**62)]
    with Spool.open(tmp_path / "spool", max_bytes=MIB) as spool:
        for batch in batches:
            spool.put(batch)

        assert all_of(spool) == batches
        assert spool.statistics().size_bytes == 0


def test_the_spool_outlives_the_agent_and_goes_on_behind_what_was_there(tmp_path: Path) -> None:
    """A restart finds the old batches first, the new ones behind them."""
    with Spool.open(tmp_path, max_bytes=MIB) as spool:
        spool.put(windows(900))
    with Spool.open(tmp_path, max_bytes=MIB) as spool:
        spool.put(windows(1))
    with Spool.open(tmp_path, max_bytes=MIB) as spool:
        assert [batch.sequence for batch in all_of(spool)] == [900, 1]


@given(sizes=st.lists(st.integers(0, 3_000), max_size=30))
def test_the_bound_holds_and_evictions_are_counted(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Never more bytes than the bound; what is gone is counted in requests; what is left are the newest."""
    with Spool.open(tmp_path_factory.mktemp("spool"), max_bytes=5_000) as spool:
        for number, size in enumerate(sizes):
            spool.put(windows(number, requests=1, size=size))
            assert spool.statistics().size_bytes <= 5_000

        left = all_of(spool)
        assert len(left) + spool.statistics().evicted_requests == len(sizes)
        assert [batch.sequence for batch in left] == list(range(len(sizes)))[len(sizes) - len(left) :]


def test_a_batch_larger_than_the_bound_is_counted_and_evicts_nothing(tmp_path: Path) -> None:
    """One giant does not cost everything else."""
    with Spool.open(tmp_path, max_bytes=1_000) as spool:
        spool.put(windows(1))
        spool.put(windows(2, requests=7, size=2_000))

        assert spool.statistics().evicted_requests == 7
        assert [batch.sequence for batch in all_of(spool)] == [1]


def test_rows_of_the_request_list_are_counted_as_rows(tmp_path: Path) -> None:
    """Listed requests are counted by windows already; losing their rows loses no count."""
    with Spool.open(tmp_path, max_bytes=1_000) as spool:
        spool.put(Batch(Table.REQUESTS, 1, 40, 0, b"x" * 900))
        spool.put(windows(2, size=900))

        statistics = spool.statistics()
        assert (statistics.evicted_requests, statistics.evicted_rows) == (0, 40)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_torn_file_is_counted_and_passed_over(tmp_path: Path, damage: str) -> None:
    """A power failure may tear a file: its name still says what it held."""
    with Spool.open(tmp_path, max_bytes=MIB) as spool:
        for number in (1, 2):
            spool.put(windows(number))
        victim = min(tmp_path.glob("*.batch"))
        content = victim.read_bytes()
        if damage == "gone":
            victim.unlink()
        else:
            victim.write_bytes({"cut": content[:-1], "flip": content[:-1] + b"\xff", "empty": b""}[damage])

        assert [batch.sequence for batch in all_of(spool)] == [2]
        assert spool.statistics().torn_requests == 10


def test_half_written_files_are_removed_and_strangers_left_alone(tmp_path: Path) -> None:
    """What a killed agent was writing was never promised; what is not ours is not touched."""
    part, stranger = tmp_path / "0000000000000001-5-1-1-windows.batch.part", tmp_path / "notes.txt"
    part.write_bytes(b"half")
    stranger.write_bytes(b"mine")

    with Spool.open(tmp_path, max_bytes=MIB) as spool:
        assert len(spool) == 0

    assert (part.exists(), stranger.exists()) == (False, True)


def test_two_agents_cannot_share_a_directory(tmp_path: Path) -> None:
    """The second is told whose it is; when the first is gone it may."""
    with (
        Spool.open(tmp_path, max_bytes=MIB),
        pytest.raises(UnavailableError, match="belongs to another running agent"),
    ):
        Spool.open(tmp_path, max_bytes=MIB)

    Spool.open(tmp_path, max_bytes=MIB).close()


def test_each_agent_of_each_cluster_has_its_own_directory(tmp_path: Path) -> None:
    """Names become one path component, whatever they contain."""
    first = spool_directory(tmp_path, cluster="../etc", agent="node/1")
    second = spool_directory(tmp_path, cluster="../etc", agent="node/2")

    assert first != second
    assert first.parent == second.parent == tmp_path


def test_nobody_else_can_read_the_spool(tmp_path: Path) -> None:
    """Statements and paths of applications lie there, if only as templates."""
    with Spool.open(tmp_path / "deep/spool", max_bytes=MIB) as spool:
        spool.put(windows(1))

        modes = [
            path.stat().st_mode & 0o077 for path in (tmp_path / "deep/spool", *(tmp_path / "deep/spool").iterdir())
        ]
        assert set(modes) == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path: Path) -> None:
    """The batch is refused with the disk's reason; what was there stays readable, and works again with room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        with Spool.open(disk / "spool", max_bytes=MIB) as spool:
            spool.put(windows(1, size=20_000))
            with pytest.raises(UnavailableError, match="No space left on device - free disk space"):
                spool.put(windows(2, size=60_000))
            assert not list((disk / "spool").glob("*.part"))

            spool.put(windows(3, size=20_000))
            assert [batch.sequence for batch in all_of(spool)] == [1, 3]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    """At the start, in one line with a remedy."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", disk], check=True)
    try:
        with pytest.raises(UnavailableError, match="Read-only file system - free disk space or give a writable"):
            Spool.open(disk / "spool", max_bytes=MIB)
    finally:
        subprocess.run(["umount", disk], check=True)


_WRITER = """
import sys
from pathlib import Path
from osmia.agent.spool import Batch, Spool
from osmia.model.wire import Table
spool = Spool.open(Path(sys.argv[1]), max_bytes=1 << 30)
number = 0
while True:
    number += 1
    spool.put(Batch(Table.WINDOWS, number, 1, 1, bytes([number % 251]) * 50_000))
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_9_at_any_point_loses_nothing_that_was_put(tmp_path: Path, after: int) -> None:
    """All batches that `put()` returned for are there and whole; a half-written one is not."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(after)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout]

    with Spool.open(tmp_path, max_bytes=1 << 30) as spool:
        found = [batch.sequence for batch in all_of(spool)]
        assert spool.statistics().torn_requests == 0
    assert found[: len(told)] == told
    assert len(found) <= len(told) + 1
