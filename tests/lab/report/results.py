# SPDX-License-Identifier: GPL-2.0-only
"""Results that a report is made of: hostile, long, and with races, a log and a reproducer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from tests.lab.results import journals

#: What would be markup, a script, an attribute's end, a template or a terminal's command.
HOSTILE = (
    "</style></title></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'>"
    "{{ 7*191 }}{% raw %}<!--]]>&lt;<svg onload=alert(1)><a href=javascript:alert(1)>"
    "\x00\x08\x1b[31m\u202e\udcff\ufffe\ufdd0\U0001fffe"
)
RACE: Mapping[str, Any] = {
    "kicks": 500,
    "lost": 6,
    "bound": "0.0235",
    "landed_before_check": 1,
    "landed_in_window": 158,
    "landed_in_entry": 11,
    "landed_in_guest": 330,
    "landed_after_exit": 0,
    "latency_p50_ns": 524288,
    "latency_p99_ns": 536870912,
}


def result(test: str, claim: str, outcome: TestOutcome, **more: Any) -> Result:
    """With what is left out empty."""
    said = {"reason": "", "message": "", "detail": "", "properties": {}, **more}
    return Result(
        test, claim, outcome, "call", said["reason"], said["message"], said["detail"],
        duration_s=0.5, worker="", time="2026-11-29T20:00:01.000Z", properties=said["properties"],
    )  # fmt: skip


def write(
    folder: Path,
    results: Sequence[Result],
    environment: Mapping[str, str] | None = None,
    log: str = "",
) -> Path:
    """A folder of a run that came to its end."""
    folder.mkdir(parents=True)
    with journal.Writer(folder / journal.NAME) as writer:
        writer.session(environment or {"kernel": "6.1.0", "tier": "hardware"}, "run1")
        writer.planned({each.id: each.claim for each in results})
        for each in results:
            writer.start(each.id)
            writer.result(each)
        good = (TestOutcome.PASSED, TestOutcome.SKIPPED)
        writer.end(int(any(each.outcome not in good for each in results)))
    if log:
        (folder / "kernel.log").write_text(log, encoding="utf-8", errors="surrogatepass")
    return folder


def hostile(folder: Path) -> Path:
    """Everything that a journal may say is hostile, and much of it long."""
    long = HOSTILE * 5000
    failed = TestOutcome.FAILED
    told = {HOSTILE: HOSTILE, "kicks": 1, "lost": 0, "bound": HOSTILE, "list": [HOSTILE]}
    return write(
        folder,
        [
            result(HOSTILE, HOSTILE, failed, message=HOSTILE, detail=long, properties=told),
            result(f"{HOSTILE}2", journals.CLAIMS[0], failed, message=long, properties=told),
            result("x.run", journals.CLAIMS[1], TestOutcome.ERROR, message=HOSTILE, detail=long),
            result("x.skip", journals.CLAIMS[2], TestOutcome.SKIPPED, reason=HOSTILE, message=long),
            result("x.ok", journals.CLAIMS[3], TestOutcome.PASSED, message=HOSTILE),
        ],
        {"kernel": HOSTILE, HOSTILE: HOSTILE, "long": long, "tier": HOSTILE},
        log=long,
    )


def raced(folder: Path, kernel: str = "6.1.0") -> Path:
    """A run with two races, of which one lost kicks."""
    claim = "races.handler_writes"
    held = {**RACE, "lost": 0}
    return write(
        folder,
        [
            result("races.spins.real", claim, TestOutcome.PASSED, properties=held),
            result(
                *("races.spins.long", claim, TestOutcome.FAILED),
                message="lost: 6 of 500 kicks were lost",
                detail="E  UnmetError: lost: 6 of 500\n" * 5,
                properties=RACE,
            ),
        ],
        {"kernel": kernel, "tier": "hardware", "architecture": "x86_64"},
        log="[1.0] BUG: unable to handle page fault\n",
    )


def many(folder: Path, tests: int) -> Path:
    """So many tests, one in five failed, each with a long detail."""
    outcomes = (TestOutcome.FAILED, *[TestOutcome.PASSED] * 4)
    folder.mkdir(parents=True)
    lines: list[dict[str, Any]] = []
    claims = {f"suite.case.v{number}": journals.CLAIMS[number % 6] for number in range(tests)}
    with journal.Writer(folder / journal.NAME) as writer:
        writer.session({"kernel": "6.1.0"}, "run1")
        writer.planned(claims)
    for number, (test, claim) in enumerate(claims.items()):
        failed = number % 5 == 0
        said = {"message": "it did not return " * 40, "detail": "x" * 9000} if failed else {}
        found = result(test, claim, outcomes[number % 5], **said)
        lines.append({"event": "result", **vars(found), "outcome": found.outcome.value})
    with (folder / journal.NAME).open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)
        file.write('{"event": "end", "exit": 1}\n')
    return folder
