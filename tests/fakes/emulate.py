# SPDX-License-Identifier: GPL-2.0-only
"""Plays the children of a matrix: `find KERNEL` and `emulate ...`, without a machine.

The kernel's name says what happens: its words are parts of it (`fake:failed`). Each child writes a
line to $FAKE_LOG when it begins and when it ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.campaign import child

PLANNED = {
    "preset.first_run.real": "preset.returns_eintr",
    "preset.again": "preset.repeats",
    "signals.fault": "signals.slow_fault",
}
LOG = Path(os.environ.get("FAKE_LOG", os.devnull))


def log(text: str) -> None:
    with LOG.open("a") as file:
        file.write(f"{text}\n")


def begun() -> int:
    return sum(line.startswith("begin") for line in LOG.read_text().splitlines())


def until(condition: object) -> None:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def result(name: str, outcome: TestOutcome = TestOutcome.PASSED, reason: str = "") -> Result:
    text = "" if outcome is TestOutcome.PASSED else f"the {outcome.value} one"
    return Result(name, PLANNED[name], outcome, "call", reason, text, "", 0.1, "", journal.now())


def find(kernel: str) -> int:
    log(f"find {kernel}")
    if "none" in kernel:
        print(json.dumps({"error": f"{kernel}: is not in the archive"}))
        return 70
    if "broken" in kernel:
        raise RuntimeError("a defect")
    release = f"6.{sum(map(ord, kernel)) % 90 + 10}.0-amd64"
    print(json.dumps({"release": release, "name": kernel, "digest": os.environ.get("DIGEST", "")}))
    return 0


def emulate(kernel: str, output: Path) -> int:
    if "vanish" in kernel:
        os.kill(os.getpid(), signal.SIGKILL)
    if "nothing" in kernel:
        print("Error: the machine was not up", flush=True)
        return 71
    with journal.Writer(output / journal.NAME) as writer:
        writer.session({"kernel": kernel, "tier": "emulated"})
        writer.planned(PLANNED)
        writer.start("preset.first_run.real")
        writer.result(result("preset.first_run.real"))
        if "pair" in kernel:
            until(lambda: begun() >= 2)
        if "stuck" in kernel:
            log(f"stuck {kernel} {os.getpid()}")
            if "stubborn" in kernel:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                log(f"child {subprocess.Popen(['sleep', '100']).pid}")
            if not os.environ.get("GO"):
                time.sleep(100)
        if "lost" in kernel:
            print(
                "the machine hung: no sign of life\nThe console's last lines:\n  Error: of a driver"
            )
            return 71
        if "panic" in kernel:
            writer.result(result("preset.again", TestOutcome.CRASHED))
            print("the machine vanished: Kernel panic\nThe console's last lines:\n  RIP")
            return 1
        wrong = TestOutcome.FAILED if "failed" in kernel else TestOutcome.PASSED
        wrong = TestOutcome.ERROR if "error" in kernel else wrong
        writer.result(result("preset.again", wrong))
        writer.result(result("signals.fault", TestOutcome.SKIPPED, "no_userfaultfd"))
        writer.end(int(wrong is not TestOutcome.PASSED))
    return {TestOutcome.FAILED: 1, TestOutcome.ERROR: 70}.get(wrong, 0)


def main() -> int:
    child.end_with_the_parent()
    if sys.argv[1] == "find":
        return find(sys.argv[2])
    given = dict(word.partition("=")[::2] for word in sys.argv[2:])
    kernel = given["--kernel"]
    log(f"begin {kernel} {' '.join(sys.argv[3:])}")
    try:
        return emulate(kernel, Path(given["--output"]))
    except KeyboardInterrupt:
        return 130
    finally:
        log(f"end {kernel}")


if __name__ == "__main__":
    sys.exit(main())
