"""The short form of the fuzzers: real inputs, what they found once, and some mutations of both."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

FINDINGS = Path(__file__).parent / "findings"
EACH_TARGET = pytest.mark.parametrize("name", TARGETS)
MUTATIONS = 300
MARKS = [b"'", b'"', b"$", b"\\", b"\0", b"/*", b"--", b"\xff", b"%", b"E", b"\r\n", b"\x7f\xff\xff\xff", b"0\r\n\r\n"]


def inputs(name: str) -> list[bytes]:
    """The seeds of a target and what once broke it."""
    found = [path.read_bytes() for path in sorted((FINDINGS / name).glob("*.bin"))]
    return [seed[: TARGETS[name].max_bytes] for seed in TARGETS[name].seeds()] + found


def mutated(seeds: list[bytes], dice: random.Random) -> Iterator[bytes]:
    """Inputs near the seeds."""
    for _ in range(MUTATIONS):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 6)):
            place = dice.randrange(len(data) + 1)
            match dice.randrange(4):
                case 0:
                    data[place:place] = dice.randbytes(dice.randrange(1, 9))
                case 1:
                    del data[place : place + dice.randrange(1, 20)]
                case 2:
                    mark = dice.choice(MARKS)
                    data[place : place + len(mark)] = mark
                case _:
                    data[place:place] = dice.choice(seeds)[:40]
        yield bytes(data)


@EACH_TARGET
def test_real_inputs_and_old_findings_keep_every_promise(name: str) -> None:
    """What was recorded, and what broke a promise once, keeps all of them."""
    for data in inputs(name):
        TARGETS[name].run(data)


@EACH_TARGET
def test_inputs_near_real_ones_keep_every_promise(name: str) -> None:
    """A few hundred mutations, the same each time; `python -m tests.fuzz` goes on from here."""
    dice = random.Random(name)  # noqa: S311 - a fuzzer
    for data in mutated(inputs(name), dice):
        TARGETS[name].run(data)


@EACH_TARGET
def test_every_instrumented_module_exists(name: str) -> None:
    """A module that was renamed would go without coverage, and nobody would notice."""
    for module in TARGETS[name].modules:
        assert module in sys.modules
