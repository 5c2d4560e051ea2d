"""What is said about a run: while it goes on (`live`), at its end (`text`, `original`, `debug`) and in files (`write`).

Every report reads `osmia.load.results`; their figures come from `figures` and `document`, so that they agree.

::

    report.check(path)                                      # before the run: ConfigError for a name of no known format
    with live.live_view(plan, sys.stderr, is_quiet=False, is_colored=True) as view:
        for reading in engine.readings():
            view.update(reading)
    with samples.SampleWriter(path, plan) as writer:        # if report.is_samples(path)
        Engine(..., on_samples=writer.add)
    text.final_text(results, width=80, is_colored=True)     # -o stdout
    original.original_json(results)                         # -o stdout-json: one line of bytes
    debug.debug_text(results), debug.debug_json(results)    # --debug
    report.write(path, results)                             # --out, but for samples
"""

from __future__ import annotations

from osmia.load.report.files import FORMATS, check, is_samples, write

__all__ = ["FORMATS", "check", "is_samples", "write"]
