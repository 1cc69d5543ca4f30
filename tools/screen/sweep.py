# SPDX-License-Identifier: GPL-2.0-only
"""What a sweep tells: a sentence for each way and protocol, and one verdict."""

from __future__ import annotations

import textwrap

from harness.kick.plan import Protocol
from harness.kvm import arch
from lab.sweep.report import Report
from lab.sweep.verdict import SweepVerdict


def _costs() -> dict[str, str]:
    """The benchmark's cases that are told, with what they are."""
    leaving = arch.current().SPEECH
    return {
        "immediate": "KVM_RUN with the byte preset",
        "immediate+mask": "the same with KVM_SET_SIGNAL_MASK",
        leaving.short: f"KVM_RUN that exits on {leaving.meaning}",
        "einval": "KVM_RUN that fails with EINVAL",
        "getppid": "getppid(2)",
    }


def text(report: Report, width: int) -> str:
    """For people: coverage, control, cost, and last the verdict."""
    lines = [
        f"Calibration: of {report.all_steps:,} steps {report.steps['one']:,} were of one "
        f"instruction, {report.steps['zero']:,} of none, {report.steps['other']:,} of several or "
        "back"
    ]
    for each in report.verdicts:
        lines.append(f"{each.way}, {each.protocol.value}: {_sentence(each)}")
    lines += [
        f"{meaning}: {report.cost[name]:,.0f} instructions"
        for name, meaning in _costs().items()
        if name in report.cost
    ]
    lines.append(f"VERDICT  {report.verdict()}")
    return "\n".join(
        textwrap.fill(line, max(40, width - 1), subsequent_indent="    ") for line in lines
    )


def _sentence(each: SweepVerdict) -> str:
    if each.protocol is Protocol.CONTROL:
        return (
            f"lost {each.overtaken_in_window} of {each.in_window} kicks between the check and "
            f"the system call, {each.overtaken_elsewhere} elsewhere, as it must"
            if each.control_fired
            else f"did not fire as it must: {each.overtaken_in_window} of {each.in_window} "
            f"kicks lost in the window, {each.overtaken_elsewhere} elsewhere"
        )
    text = f"a kick was taken at {each.coverage()}"
    if each.held_back:
        text += f" ({'; '.join(map(str, each.held_back))})"
    if not each.windows:
        return f"{text}; none of {each.kicks:,} kicks waited"
    return (
        f"{text}; {each.overtaken:,} of {each.kicks:,} kicks waited, for up to "
        f"{each.most_turns:,} turns of the guest: {'; '.join(map(str, each.windows))}"
    )
