"""From libbpf's words to one line that a person can act on."""

from __future__ import annotations

from osmia.agent.kernel.refusal import why_refused

# As libbpf 1.1 on Linux 5.10 wrote it; the middle of the log is left out.
STACK = """load it into the kernel: Permission denied
libbpf: prog 'on_send': BPF program load failed: Permission denied
libbpf: prog 'on_send': -- BEGIN PROG LOAD LOG --
combined stack size of 3 calls is 576. Too large
processed 90828 insns (limit 1000000) max_states_per_insn 19 total_states 4445 peak_states 1598 mark_read 82
-- END PROG LOAD LOG --
libbpf: prog 'on_send': failed to load: -13
libbpf: failed to load object '/x/requests.x86.bpf.o'
"""
BOUND = """load it into the kernel: Permission denied
libbpf: prog 'on_receive': BPF program load failed: Permission denied
1156: (bf) r2 = r6                    ; R2_w=scalar(id=51) R6_w=scalar(id=51)
1157: (bf) r3 = r9
1158: (85) call bpf_probe_read_user#112
R2 min value is negative, either use unsigned or 'var &= const'
processed 799 insns (limit 1000000) max_states_per_insn 1 total_states 49 peak_states 49 mark_read 26
-- END PROG LOAD LOG --
libbpf: prog 'on_receive': failed to load: -13
"""
NOT_PERMITTED = """load it into the kernel: Operation not permitted
libbpf: Error in bpf_object__probe_loading():Operation not permitted(1). Couldn't load trivial BPF program.
"""
NO_BTF = """load it into the kernel: No such process
libbpf: failed to find valid kernel BTF
"""


def test_the_verifiers_reason_is_found() -> None:
    """Its last line before the statistics, with the program that it is about."""
    assert why_refused(STACK) == "the verifier refuses on_send: combined stack size of 3 calls is 576. Too large"


def test_a_missing_privilege_is_named_as_such() -> None:
    """Of EPERM libbpf knows only guesses; ours are the ones that can be acted on."""
    told = why_refused(NOT_PERMITTED)

    assert told.startswith("load it into the kernel: Operation not permitted (a capability is missing")
    assert "trivial" not in told


def test_another_refusal_keeps_libbpfs_first_words() -> None:
    """What libbpf itself found comes with the step and the errno."""
    expected = "load it into the kernel: No such process libbpf: failed to find valid kernel BTF"

    assert why_refused(NO_BTF) == expected


def test_register_dumps_are_no_reason() -> None:
    """A line that looks like a register dump but is the reason is told by the word after the register."""
    told = why_refused(BOUND)

    assert told == ("the verifier refuses on_receive: R2 min value is negative, either use unsigned or 'var &= const'")


def test_long_words_are_cut() -> None:
    """No refusal fills a screen."""
    assert len(why_refused("open the BPF object: No such file\nlibbpf: " + "x " * 5000)) <= 240
