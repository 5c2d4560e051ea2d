"""Cgroups that come and go between two walks are known all the same."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from osmia.agent.entities.cgroups import CgroupIndex
from osmia.agent.entities.watch import CgroupWatch
from tests.agent.entities.waiting import until

pytestmark = pytest.mark.anyio


def test_what_is_there_is_told_at_once(tmp_path: Path) -> None:
    """Entering tells every directory below the mount."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    told: dict[int, str] = {}

    with CgroupWatch(tmp_path, told.__setitem__):
        pass

    assert told == {(tmp_path / "a").stat().st_ino: "/a", (tmp_path / "a/b").stat().st_ino: "/a/b"}


def test_what_is_made_is_told_with_all_below(tmp_path: Path) -> None:
    """A pod's directory and its container's, made before anybody looked, are both told."""
    told: dict[int, str] = {}
    with CgroupWatch(tmp_path, told.__setitem__) as watch:
        (tmp_path / "pod" / "container").mkdir(parents=True)
        watch.look()
        (tmp_path / "pod" / "second").mkdir()
        watch.look()

    assert sorted(told.values()) == ["/pod", "/pod/container", "/pod/second"]


def test_what_is_gone_before_a_look_is_counted(tmp_path: Path) -> None:
    """A directory that came and went untold leaves its trace in the counters."""
    with CgroupWatch(tmp_path, lambda _inode, _path: None) as watch:
        (tmp_path / "brief").mkdir()
        (tmp_path / "brief").rmdir()
        watch.look()

    assert watch.counters == {"gone": 1}


def test_a_removed_directory_may_come_again(tmp_path: Path) -> None:
    """A directory of the same name is told anew, and what is made below it too."""
    told: list[str] = []
    with CgroupWatch(tmp_path, lambda _inode, path: told.append(path)) as watch:
        for _ in range(2):
            (tmp_path / "again").mkdir()
            watch.look()
            (tmp_path / "again" / "below").mkdir()
            watch.look()
            (tmp_path / "again" / "below").rmdir()
            (tmp_path / "again").rmdir()
            watch.look()

    assert told == ["/again", "/again/below"] * 2


def test_the_number_of_watches_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit nothing is watched, which is counted; what there is is told all the same."""
    for number in range(10):
        (tmp_path / str(number)).mkdir()
    told: list[str] = []

    with CgroupWatch(tmp_path, lambda _inode, path: told.append(path), limit=5) as watch:
        pass

    assert (len(told), watch.counters["unwatched"]) == (10, 6)


def test_the_index_looks_before_it_walks(tmp_path: Path) -> None:
    """An unknown id is found among the news, without another walk, and stays known when its cgroup has gone."""
    index = CgroupIndex(tmp_path, now=lambda: 0.0)
    index.path(1)
    with CgroupWatch(tmp_path, index.remember) as watch:
        index.look = watch.look
        made = tmp_path / "job"
        made.mkdir()
        inode = made.stat().st_ino
        watch.look()
        made.rmdir()

        assert (index.path(inode), index.walks) == ("/job", 1)


async def test_it_follows_by_itself(tmp_path: Path) -> None:
    """Running, it tells of a new directory without being asked."""
    told: list[str] = []
    with CgroupWatch(tmp_path, lambda _inode, path: told.append(path)) as watch:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            await anyio.lowlevel.checkpoint()
            (tmp_path / "new").mkdir()
            await until(lambda: told == ["/new"])
            tasks.cancel_scope.cancel()

    assert told == ["/new"]


def test_a_mount_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    """Without a directory to watch there is no news, and nothing fails."""
    with CgroupWatch(tmp_path / "none", lambda _inode, _path: None) as watch:
        watch.look()

    assert watch.counters == {}
