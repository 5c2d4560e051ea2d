"""Why the kernel refused a BPF object, from libbpf's words: the step, the errno, the verifier's own reason. Pure."""

from __future__ import annotations

import re

__all__ = ["why_refused"]

_END = re.compile(r"^processed \d+ insns", re.MULTILINE)
_PROGRAM = re.compile(r"prog '(\w+)'")
_STATE = re.compile(r"^(\s*R\d+(_\w+)?=|\d+: |; |last_idx|regs=|parent |from \d+ to|--|libbpf: prog)")
_BANNER = re.compile(r"^libbpf: (failed to load|prog '\w+': (failed to load|-- (BEGIN|END)|BPF program load failed))")
_NOT_PERMITTED = "Operation not permitted"
_PRIVILEGE = "a capability is missing, or seccomp or lockdown refuses"
_WORDS_MAX = 240


def why_refused(words: str) -> str:
    """One line for people: `words` are the step with its errno, then libbpf's warnings."""
    step, _, rest = words.partition("\n")
    verdict = _verifier(rest)
    if verdict:
        program = _PROGRAM.search(rest)
        return f"the verifier refuses {program[1] if program else 'a program'}: {verdict}"
    if _NOT_PERMITTED in step:
        return f"{step} ({_PRIVILEGE})"
    said = next((line for line in rest.splitlines() if line.strip() and not _BANNER.match(line)), "")
    return " ".join(f"{step} {said}".split())[:_WORDS_MAX]


def _verifier(words: str) -> str:
    """The line that says what it found, which stands last before its statistics; empty if it was not asked."""
    end = _END.search(words)
    if end is None:
        return ""
    lines = [line for line in words[: end.start()].splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if not _STATE.match(line)), "")
    return " ".join(told.split())[:_WORDS_MAX]
