# SPDX-License-Identifier: GPL-2.0-only
"""The defects of broken_kvm*.c: the kernel that each stands for, and the claims it breaks."""

from __future__ import annotations

from tests.fakes.broken_kvm.defect import ONE_MODE, Defect
from tests.fakes.broken_kvm.defects_of_states import STATES

EVERY_IMMEDIATE = (
    *("capability.layout", "capability.truthful", "preset.returns_eintr"),
    *("preset.no_guest_progress", "preset.any_nonzero_value", "preset.repeats"),
    *("preset.not_written", "preset.per_vcpu", "preset.polled_once"),
    *("preset.exit_reason_untouched", "preset.every_guest_mode", "preset.fast"),
    "preset.state_untouched",
)
PROGRESS = (
    *("capability.truthful", "preset.no_guest_progress", "preset.any_nonzero_value"),
    *("preset.repeats", "preset.polled_once", "preset.every_guest_mode"),
    "preset.state_untouched",
)
COMPLETION = ("completion.pio", "completion.mmio", "completion.msr", "completion.failed_msr")
VALUES = ("preset.any_nonzero_value",)
VALUES_ALSO = ("preset.not_written", "capability.layout")
VALUES_HOLD = ("preset.returns_eintr", "preset.no_guest_progress", "preset.exit_reason_untouched")
NOT_WRITTEN = ("preset.not_written",)
UNHARMED = ("preset.returns_eintr", "preset.no_guest_progress")
STATE, STATES_ALSO = ("preset.state_untouched",), ("states.*",)
TIME, HOST = ("preset.time_untouched",), ("preset.host_untouched",)
TRUTHFUL = ("capability.truthful",)

BYTE = (
    Defect("ignored", "says that it has the byte, never looks at it", EVERY_IMMEDIATE, hangs=True),
    Defect("only_one", "compares the byte with 1", VALUES, VALUES_ALSO, VALUES_HOLD),
    Defect("only_bit_zero", "tests bit 0 of the byte", VALUES, VALUES_ALSO, VALUES_HOLD),
    Defect("only_positive", "takes the byte for signed: > 0", VALUES, VALUES_ALSO, VALUES_HOLD),
    Defect(
        "wrong_byte",
        "looks at byte 2 of kvm_run",
        ("capability.layout", "preset.returns_eintr", "preset.no_guest_progress"),
        also=EVERY_IMMEDIATE,
        hangs=True,
    ),
    Defect(
        "wide_load",
        "loads 32 bits from byte 1",
        ("capability.layout",),
        holds=("preset.not_written", *UNHARMED),
    ),
    Defect(
        "cleared_at_once",
        "clears the byte when it has obeyed",
        ("preset.repeats", "preset.not_written"),
        also=("preset.fast",),
        holds=UNHARMED,
        only=f"{ONE_MODE} or bytes_are_left_alone",
    ),
    Defect("cleared_by_normal_run", "clears the byte on the way out", NOT_WRITTEN, (), UNHARMED),
    Defect(
        "padding_written",
        "stores a word over padding1",
        (*NOT_WRITTEN, "explored.sequences"),
        holds=UNHARMED,
    ),
    Defect("window_request_written", "clears byte 0 with byte 1", NOT_WRITTEN, (), UNHARMED),
    Defect("window_request_hides", "with byte 0 set, ignores byte 1", NOT_WRITTEN, (), UNHARMED),
    Defect(
        "exit_reason_written",
        "writes KVM_EXIT_INTR as for a signal",
        ("preset.exit_reason_untouched",),
        holds=UNHARMED,
    ),
    Defect(
        "exit_reason_reset",
        "writes KVM_EXIT_UNKNOWN before it looks at the byte",
        ("preset.exit_reason_untouched",),
        holds=UNHARMED,
    ),
    Defect("returns_zero", "gives 0 for an immediate exit", EVERY_IMMEDIATE),
    Defect("returns_eagain", "gives EAGAIN for an immediate exit", EVERY_IMMEDIATE),
    Defect(
        "one_instruction_late",
        "enters the guest once, and looks at the byte after that",
        PROGRESS,
        also=("preset.per_vcpu", "preset.not_written"),
        holds=("preset.returns_eintr", "preset.exit_reason_untouched", "capability.layout"),
        only=f"{ONE_MODE} and not other_vcpu",
        machine="x86_64",
    ),
    Defect(
        "late",
        "runs the guest until the host's next interrupt",
        PROGRESS,
        also=("preset.*", "capability.layout"),
        holds=("capability.reported",),
    ),
    Defect(
        "polled_again",
        "looks at the byte each time that it enters the guest",
        ("preset.polled_once",),
        holds=UNHARMED,
    ),
    Defect("byte_of_newest", "looks at the byte of the newest vCPU", ("preset.per_vcpu",)),
    Defect("byte_of_the_vm", "obeys the byte of any vCPU of the VM", ("preset.per_vcpu",)),
    Defect("byte_of_other_vms", "obeys the byte of other VMs' vCPUs", ("preset.per_vcpu",)),
    Defect(
        "before_first_run_only",
        "looks at the byte only until the guest has run",
        ("preset.returns_eintr", "preset.no_guest_progress", "preset.repeats"),
        also=EVERY_IMMEDIATE,
        hangs=True,
    ),
    Defect(
        "after_first_run_only",
        "looks at the byte only once the guest has run",
        ("preset.returns_eintr", "preset.no_guest_progress", "preset.every_guest_mode"),
        also=("preset.per_vcpu",),
        holds=("preset.repeats", "preset.any_nonzero_value", "capability.truthful"),
        hangs=True,
    ),
    Defect(
        "edge_triggered",
        "obeys the byte only when it was clear in the run before",
        ("preset.repeats", "preset.no_guest_progress"),
        also=("preset.any_nonzero_value", "preset.not_written", "preset.fast"),
        holds=("preset.returns_eintr",),
    ),
    Defect(
        "latched",
        "still obeys the byte in the run after it was cleared",
        ("preset.repeats", "preset.no_guest_progress"),
        also=("capability.layout", "preset.per_vcpu", "preset.every_guest_mode"),
        holds=("preset.returns_eintr", "preset.exit_reason_untouched"),
    ),
    Defect(
        "latched_as_a_signal",
        "ends the run after an immediate exit as if by a signal",
        ("preset.polled_once",),
        holds=("preset.returns_eintr", "preset.repeats"),
    ),
    Defect(
        "same_thread_only",
        "overlooks the byte when the vCPU has moved to another thread",
        ("preset.returns_eintr",),
        also=EVERY_IMMEDIATE,
        hangs=True,
    ),
    Defect("loses_breakpoints", "clears DR0 to DR3 at an immediate exit", STATE, machine="x86_64"),
    Defect("moves_tsc_adjust", "moves a clock at an immediate exit", TIME, STATE, machine="x86_64"),
    Defect(
        "ends_reports",
        "ends KVM_TPR_ACCESS_REPORTING at an immediate exit",
        ("preset.requests_kept",),
        only="test_kept and priority_reported",
        machine="x86_64",
    ),
    Defect("policy_changed", "does not give back the thread's policy", HOST, machine="x86_64"),
    Defect(
        "unmasks_nmis", "unmasks NMIs at an immediate exit", STATE, STATES_ALSO, machine="x86_64"
    ),
    Defect(
        "not_in_real_mode",
        "looks at the byte on its way into protected and long mode only",
        ("preset.every_guest_mode",),
        holds=("preset.fast",),
        only="not split and not full",
        machine="x86_64",
    ),
)

CAPABILITY = (
    Defect(
        "not_reported",
        "has the byte, and does not say so",
        ("capability.truthful", "absent.ignored"),
        also=("absent.*",),
        skips=("capability.reported", "preset.*"),
        only="not real and not protected and not split and not kick",
    ),
    Defect("not_reported_by_vm", "the VM says 0", ("capability.reported",), (), TRUTHFUL),
    Defect(
        "not_reported_with_vcpu",
        "says 0 once a vCPU exists",
        ("capability.reported",),
        also=TRUTHFUL,
        holds=UNHARMED,
    ),
    Defect(
        "mapping_too_small",
        "KVM_GET_VCPU_MMAP_SIZE of an older kvm_run",
        ("capability.layout",),
        holds=UNHARMED,
    ),
    Defect(
        "absent",
        "sound: a kernel before 4.11, without the capability",
        holds=("capability.truthful", "absent.*"),
        skips=("capability.reported", "capability.layout", "preset.*"),
    ),
    Defect(
        "absent_and_cleared",
        "has no capability, and clears kvm_run on the way out",
        ("absent.not_written",),
        also=("absent.*",),
        holds=TRUTHFUL,
        only=f"{ONE_MODE} and not kick",
    ),
    Defect(
        "absent_and_set",
        "has no capability, and leaves kvm_run uncleared",
        ("absent.not_written",),
        also=("absent.*",),
        holds=TRUTHFUL,
        only=f"{ONE_MODE} and not kick",
    ),
    Defect(
        "absent_and_no_mask",
        "has neither the capability nor KVM_SET_SIGNAL_MASK",
        ("absent.signal_mask_still_kicks",),
        holds=TRUTHFUL,
        only=f"{ONE_MODE} and not full and (kick_before_first_run or agree)",
        hangs=True,
    ),
)

COMPLETES = (
    Defect(
        "checked_before_completion",
        "looks at the byte before it completes (arm64 before 5.13, x86 before 5.1)",
        (*COMPLETION, "completion.fragments", "completion.exactly_once", "states.sync_regs"),
        holds=("preset.returns_eintr", "preset.no_guest_progress", "preset.every_guest_mode"),
        machine="x86_64",
    ),
    Defect(
        "runs_on_after_completion",
        "completes, and the guest executes one instruction more",
        (*COMPLETION, "completion.fragments", "completion.exactly_once"),
        machine="x86_64",
    ),
    Defect(
        "loses_fragments",
        "gives EINTR where the next piece of an access is due",
        ("completion.fragments",),
        holds=(*COMPLETION, "completion.exactly_once"),
    ),
    Defect(
        "completes_twice",
        "completes by exit_reason, at each run anew (LoongArch)",
        ("completion.exactly_once",),
        also=("completion.fragments",),
        holds=COMPLETION,
        machine="x86_64",
    ),
    Defect(
        "skips_after_completion",
        "moves the program counter again when nothing is left to complete",
        ("completion.exactly_once",),
        holds=COMPLETION,
        machine="x86_64",
    ),
    Defect(
        "refused_msr_succeeds",
        "an immediate run takes an error for an answer",
        ("completion.failed_msr",),
        holds=("completion.msr", "completion.exactly_once"),
        machine="x86_64",
    ),
)

SIGNALS = (
    Defect(
        "mask_left_by_immediate_exit",
        "does not restore the thread's mask (s390 before c44d36d8e650)",
        ("signals.mask_restored",),
        also=("signals.not_swallowed",),
        holds=("signals.mask_kicks", "preset.returns_eintr"),
    ),
    Defect(
        "mask_left_by_signal_exit",
        "does not restore the thread's mask when a signal ended the run",
        ("signals.mask_restored",),
    ),
    Defect(
        "handler_runs",
        "delivers the signal before it restores the mask",
        ("signals.mask_kicks",),
        holds=("signals.mask_restored",),
    ),
    Defect(
        "mask_not_applied",
        "takes KVM_SET_SIGNAL_MASK and does nothing",
        ("signals.pending_at_entry", "signals.mask_kicks", "signals.mask_arguments"),
        only=f"{ONE_MODE} and (pending_on or before_the_run or wrong_length)",
    ),
    Defect("mask_of_any_length", "does not look at the length", ("signals.mask_arguments",)),
    Defect(
        "mask_ends_at_immediate_exit",
        "ends the vCPU's KVM_SET_SIGNAL_MASK at an immediate exit",
        ("signals.mask_stays",),
        also=("signals.*",),
    ),
    Defect("mask_never_cleared", "overlooks a null mask", ("signals.mask_arguments",)),
    Defect(
        "signal_before_completion",
        "looks for signals before it completes",
        ("signals.pending_at_entry", "completion.exactly_once", "completion.fragments"),
        holds=("signals.mask_kicks",),
    ),
    Defect(
        "refused_msr_succeeds_at_signal",
        "does not look at run->msr.error where a signal is pending",
        ("completion.failed_msr",),
        holds=("completion.msr",),
        machine="x86_64",
    ),
    Defect(
        "loses_pieces_at_signal",
        "drops the next pieces of an access where a signal is pending",
        ("completion.fragments",),
        holds=("completion.mmio",),
    ),
    Defect(
        "late_for_pending_signal",
        "enters the guest once with a signal pending (s390 before 6.19)",
        ("signals.pending_at_entry",),
        also=("signals.mask_kicks", "signals.mask_arguments"),
        holds=("signals.mask_restored",),
        only=f"{ONE_MODE} and not uninitialized",
        machine="x86_64",
    ),
    Defect(
        "loses_kicks",
        "enters the guest again after a signal",
        ("signals.interrupts_guest",),
        # Several: beside runs that end for nothing one kick may come between two of them.
        only="main_thread or (interrupts_later_run and long)",
        hangs=True,
    ),
    Defect(
        "restarts",
        "restarts KVM_RUN where the handler has SA_RESTART",
        ("signals.no_restart",),
        holds=("signals.interrupts_guest",),
        only=f"{ONE_MODE} and not full",
        hangs=True,
    ),
    Defect(
        "no_reason_for_signals",
        "does not write KVM_EXIT_INTR",
        ("signals.interrupts_guest", "signals.pending_at_entry"),
        also=("preset.not_written", "preset.polled_once", "preset.exit_reason_untouched"),
        holds=UNHARMED,
    ),
    Defect("swallows_signal", "drops the pending signal", ("signals.not_swallowed",)),
    Defect("doubles_signals", "queues the pending signals again", ("signals.not_swallowed",)),
    Defect(
        "first_run_spoilt",
        "a signal in the first run spoils the VM (6.13)",
        ("signals.first_run_storm",),
    ),
    Defect(
        "interrupted_for_ever",
        "ends each run as by a signal, before the guest is entered",
        ("signals.interrupts_guest", "preset.polled_once"),
        hangs=True,
    ),
    Defect(
        "interrupted_without_reason",
        "ends every second run with EINTR, and does not say why",
        ("signals.interrupts_guest", "preset.polled_once"),
    ),
)

# Those that a KVM which also ends runs for nothing, as it may, must not hide.
ALSO_DISTURBED = (
    *("wrong_byte", "latched", "latched_as_a_signal", "polled_again", "byte_of_the_vm"),
    *("edge_triggered", "uninitialized_interrupts"),
    *("loses_kicks", "swallows_signal", "no_reason_for_signals", "interrupted_without_reason"),
)

DEFECTS = (*BYTE, *CAPABILITY, *COMPLETES, *STATES, *SIGNALS)

# What a sound kernel passes with the library loaded: all but what takes long.
PRESET_SHORT = tuple(each for each in (*EVERY_IMMEDIATE, *TIME) if each.startswith("preset."))
TRANSPARENT = (
    *("capability", *PRESET_SHORT, "completion.pio", "completion.mmio", "completion.exactly_once"),
    *("states.precedence", "states.single_step", "states.uninitialized", "states.sync_regs"),
    *("states.dirty_ring", "signals.interrupts_guest", "signals.pending_at_entry"),
    *("signals.mask_restored", "signals.mask_kicks", "signals.mask_arguments"),
    *("signals.not_swallowed", "explored.sequences"),
)
