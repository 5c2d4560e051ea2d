"""One target under libFuzzer, in a process of its own: `python -m tests.fuzz.guided NAME CORPUS [libFuzzer options]`.

Only the modules that the target names are instrumented, so that coverage speaks of them and the rest runs at full
speed. libFuzzer ends the process itself: with an error where a promise was broken, an input took too long or too much
memory was used; the input then lies beside the corpus.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz until libFuzzer stops."""
    name, corpus, *options = sys.argv[1:]
    with atheris.instrument_imports(include=_modules(name), enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        try:
            target.run(data)
        except BaseException:
            (Path(corpus).parent / f"broken-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            raise

    atheris.Setup([sys.argv[0], corpus, f"-max_len={target.max_bytes}", *options], one_input)
    atheris.Fuzz()


def _modules(name: str) -> list[str]:
    """What to instrument; known before anything of it is imported, so told by the parent."""
    del name
    return [one for one in sys.stdin.read().split() if one]


if __name__ == "__main__":
    main()
