# SPDX-License-Identifier: GPL-2.0-only
"""The defects of state.c that no completion shows: modes, states and pending events."""

from __future__ import annotations

from tests.fakes.broken_kvm.defect import ONE_MODE, Defect

STATES = (
    Defect(
        "not_when_uninitialized",
        "blocks an application processor before it looks at the byte (x86 before 4.14)",
        ("states.uninitialized",),
        only=f"{ONE_MODE} and test_immediate",
        hangs=True,
        machine="x86_64",
    ),
    Defect(
        "uninitialized_interrupts",
        "gives EINTR in the place of EAGAIN when an application processor is woken",
        ("states.uninitialized", "signals.mask_restored"),
        only=f"{ONE_MODE} and uninitialized",
        machine="x86_64",
    ),
    Defect("wakes_halted", "an immediate run ends the halt", ("states.halted",), machine="x86_64"),
    Defect(
        "nmi_by_message_lost",
        "says that a vCPU took an NMI that came by a message, and none did",
        ("states.woken",),
        only="test_sleeper and nmi and split",
        hangs=True,
        machine="x86_64",
    ),
    Defect(
        "drops_events",
        "an immediate run clears events",
        ("states.events_survive",),
        hangs=True,
        machine="x86_64",
    ),
    Defect(
        "loses_error_code",
        "an immediate run sets an exception's error code to 0",
        ("states.events_survive",),
        machine="x86_64",
    ),
    Defect(
        "drops_timer",
        "an immediate run disarms the timer (before e800decd9c0a)",
        ("states.timer_survives",),
        only=f"{ONE_MODE} and still_armed",
        machine="x86_64",
    ),
    Defect(
        "cpuid_fixed", "an immediate run counts as one", ("states.configuration",), machine="x86_64"
    ),
    Defect(
        "dirty_registers_dropped",
        "forgets kvm_dirty_regs at an immediate exit",
        ("states.sync_regs",),
        machine="x86_64",
    ),
    Defect(
        "dirty_registers_stay_dirty",
        "takes the registers and does not clear kvm_dirty_regs",
        ("states.sync_regs",),
        machine="x86_64",
    ),
    Defect(
        "registers_not_stored",
        "stores no registers at an immediate exit",
        ("states.sync_regs",),
        machine="x86_64",
    ),
    Defect(
        "registers_unchecked",
        "looks at the byte before kvm_valid_regs and kvm_dirty_regs",
        ("states.precedence",),
        holds=("states.sync_regs",),
        machine="x86_64",
    ),
    Defect(
        "resets_dirty_ring",
        "an immediate run takes the collected entries of the dirty ring back",
        ("states.dirty_ring",),
    ),
    Defect(
        "loses_step_of_completion",
        "says EINTR in the place of the step over what the run finished",
        ("states.single_step",),
        machine="x86_64",
    ),
    Defect(
        "registers_undo_completion",
        "takes registers behind the end of the pending operation",
        ("states.sync_regs",),
        machine="x86_64",
    ),
    Defect(
        "starts_hart",
        "an immediate run starts a stopped hart",
        ("states.powered_off",),
        machine="riscv64",
    ),
    Defect(
        "stays_free",
        "an immediate run does not end the time of configuration",
        ("states.configuration",),
        machine="riscv64",
    ),
    Defect(
        "ends_calls_again",
        "ends a call of the SBI at each run, by exit_reason alone",
        ("completion.hypercall", "completion.exactly_once"),
        machine="riscv64",
    ),
    Defect(
        "ends_accesses_again",
        "ends an access to MMIO at each run, by exit_reason alone",
        ("completion.exactly_once",),
        machine="riscv64",
    ),
    Defect(
        "drops_value_of_call",
        "takes one of the two results of a call of the SBI",
        ("completion.hypercall",),
        machine="riscv64",
    ),
    Defect(
        "drops_cause",
        "an immediate run clears a register that no program uses",
        ("preset.state_untouched",),
        machine="riscv64",
    ),
    Defect(
        "drops_interrupts",
        "an immediate run drops an interrupt that waits",
        ("states.events_survive",),
        machine="riscv64",
    ),
    Defect(
        "powers_on",
        "an immediate run powers a vCPU on",
        ("states.powered_off",),
        machine="aarch64",
    ),
    Defect(
        "byte_before_readiness",
        "looks at the byte before it asks whether the vCPU may run",
        ("states.precedence",),
        machine="aarch64",
    ),
    Defect(
        "drops_system_error",
        "an immediate run clears a pending SError",
        ("states.events_survive",),
        machine="aarch64",
    ),
    Defect(
        "drops_abort",
        "forgets that an abort is to be injected (before e3e880bb1518, 5.13)",
        ("states.events_survive",),
        hangs=True,
        machine="aarch64",
    ),
    Defect(
        "not_a_first_run",
        "an immediate run does not end the time of configuration",
        ("states.configuration",),
        machine="aarch64",
    ),
    Defect(
        "skips_after_call",
        "goes on by one instruction at each immediate run after a hypercall",
        ("completion.hypercall", "completion.exactly_once"),
        machine="aarch64",
    ),
    Defect(
        "takes_result_of_call",
        "writes to a register what stands in kvm_run after a hypercall",
        ("completion.exactly_once",),
        also=("completion.hypercall",),
        machine="aarch64",
    ),
    Defect(
        "drops_thread_pointer",
        "an immediate run clears a register that no program uses",
        ("preset.state_untouched",),
        machine="aarch64",
    ),
    Defect("single_steps", "an immediate run takes a step", ("states.single_step",)),
    Defect("argument_unchecked", "looks at the byte before the argument", ("states.precedence",)),
    Defect("process_unchecked", "looks at the byte before the process", ("states.precedence",)),
)
