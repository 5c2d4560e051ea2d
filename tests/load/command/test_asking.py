"""More than the machine can be expected to do: a question at a terminal, a warning elsewhere, nothing with --yes."""

from __future__ import annotations

import os
import pty
import subprocess

from tests.load.command.world import OSMIA, Book, osmia_load, report_of

_FAR_TOO_FAST = ("--rate", "10000000/s", "-n", "1", "-o", "stdout-json")


def at_a_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """Exit code, and what stood on the terminal, of a command that is answered when it asks."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*OSMIA, *arguments], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said and (more := _read(ours)):
            said += more
        if b"[y/N]" in said:
            os.write(ours, answer.encode())
        while more := _read(ours):
            said += more
        code = process.wait()
    os.close(ours)
    return code, said.decode()


def _read(terminal: int) -> bytes:
    """What stands there; empty when the other side is gone."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_no_is_no(book: Book) -> None:
    """Nothing is sent."""
    code, said = at_a_terminal("n\n", "-t", f"{book.url}/", *_FAR_TOO_FAST)

    assert "10,000,000 requests a second are planned" in said
    assert "Go on all the same?" in said
    assert code == 130
    assert book.lines() == []


def test_yes_is_yes(book: Book) -> None:
    """It is the user's machine."""
    code, _ = at_a_terminal("y\n", "-t", f"{book.url}/", *_FAR_TOO_FAST)

    assert code == 0
    assert len(book.lines()) == 1


def test_yes_may_be_said_beforehand(book: Book) -> None:
    """--yes: no question, the warning stays."""
    code, said = at_a_terminal("", "-t", f"{book.url}/", "--yes", *_FAR_TOO_FAST)

    assert "are planned" in said
    assert "Go on" not in said
    assert code == 0


def test_without_a_terminal_nobody_is_asked(book: Book) -> None:
    """A pipeline is warned and goes on."""
    said = osmia_load("-t", f"{book.url}/", *_FAR_TOO_FAST)

    assert report_of(said)["success_count"] == 1
    assert "are planned" in said.stderr
    assert "Go on" not in said.stderr
