"""Replaying a recording: times move, everything else stays."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pyarrow as pa
import zstandard

from osmia.demo.recording import Tape, read_tapes, shifted
from osmia.model import wire
from osmia.model.window import WINDOW_S

RECORDED_S = 1_700_000_003.0


def window_tape() -> Tape:
    """One window of one request, recorded a while ago."""
    columns: dict[str, list[Any]] = {
        name: [[]] if "list" in kind.value else [""] if kind is wire.Kind.STRING else [0]
        for name, kind in wire.TABLES[wire.Table.WINDOWS].items()
    }
    columns |= {"start_s": [1_700_000_000], "first_ns": [1_700_000_001 * 10**9], "count": [7]}
    return Tape(0.0, RECORDED_S, wire.Table.WINDOWS, wire.compress(wire.encode(wire.Table.WINDOWS, columns)))


def decoded(payload: bytes) -> dict[str, Any]:
    """The only row of a payload."""
    raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=1 << 20)
    (row,) = pa.ipc.open_stream(raw).read_all().to_pylist()
    return dict(row)


def test_times_move_by_whole_windows() -> None:
    """Windows stay aligned, the distance between times is kept, and the newest is at most one window old."""
    row = decoded(shifted(window_tape(), now_s=RECORDED_S + 12_345.6))

    moved = row["start_s"] - 1_700_000_000
    assert moved == 12_340
    assert row["start_s"] % WINDOW_S == 0
    assert row["first_ns"] == (1_700_000_001 + moved) * 10**9
    assert row["count"] == 7


def test_the_packaged_story_has_all_tables() -> None:
    """The recording in the package can be read and has rows of every table; of listeners, if any queue was in use."""
    data = resources.files("osmia.demo").joinpath("recordings/story.tape").read_bytes()

    assert {tape.table for tape in read_tapes(data)} | {wire.Table.LISTENERS} == set(wire.Table)
