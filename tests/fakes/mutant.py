# SPDX-License-Identifier: GPL-2.0-only
"""Plays the children of a mutation: `make`, `emulate`, `sweep` and `lane`, without a machine.

The mutant's id says what happens: its words are parts of it (`mask_survives`). Each child writes a
line to $FAKE_LOG when it begins, a lane for each mutant.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.campaign import child
from lab.emulation import console as consoles
from lab.emulation import share as shares
from lab.launch import lost
from lab.mutation import guest
from lab.mutation.source import Source
from tests.fakes.emulate import log

PLANNED = ("preset.returns_eintr", "preset.repeats", "preset.per_vcpu")
LOST = "the machine hung: no sign of life\nThe console's last lines:\n  x"


def make(source_file: str, _: str, name: str) -> int:
    source = Source.load(Path(source_file))
    log(f"make {name}")
    if "unpatched" in name:
        text = f"{name}.cocci on {source.release}: it does not apply"
        print(json.dumps({"error": text, "outcome": "does not apply"}))
        return 70
    if "unbuilt" in name:
        print(json.dumps({"error": "an error of the compiler", "outcome": "does not build"}))
        return 70
    found = {"release": source.release, "name": source.name, "digest": name, "modules": "/m"}
    print(json.dumps(found))
    return 0


def result(claim: str, outcome: TestOutcome) -> Result:
    text = "" if outcome is TestOutcome.PASSED else "it failed"
    why = "no_capability" if outcome is TestOutcome.SKIPPED else ""
    return Result(f"{claim}.test", claim, outcome, "call", why, text, "", 0.1, "", journal.now())


def emulate(name: str, output: Path) -> int:
    attempt = log_lines().count(f"begin {name}")  # this one is among them
    (output / "console.log").write_text("[ 1.0] all is well\n")
    if "frozen" in name and ("always" in name or attempt == 1):
        print(LOST)
        return 71
    once = os.environ.get("STOCK", "") if name == "stock" else name
    if "starved" in once and attempt <= 2:  # the first one on a machine of others
        (output / "console.log").write_text("[ 2.0] watchdog: BUG: soft lockup - CPU#0 stuck\n")
        print(LOST)
        return 71
    if "panics_once" in once and attempt == 1:
        (output / "console.log").write_text("[ 2.0] Kernel panic - not syncing: oops\n")
        print(LOST)
        return 71
    with journal.Writer(output / journal.NAME) as writer:
        writer.session({"tier": "emulated"})
        writer.planned({f"{claim}.test": claim for claim in PLANNED})
        if "panics" in name:
            (output / "console.log").write_text("[ 2.0] Kernel panic - not syncing: oops\n")
            print(f"{LOST}")
            return 71
        if "wedged" in name:
            while not list(output.parent.glob("stop-*")):
                time.sleep(0.05)
            return -9
        if "complains" in name:
            (output / "console.log").write_text("[ 3.0] ------------[ cut here ]------------\n")
        if "stuck" in name:
            log(f"stuck {name} {os.getpid()}")
            if not os.environ.get("GO"):
                time.sleep(100)
        innocent = name == "stock" or "survives" in name or "holds" in name
        for claim in PLANNED:
            wrong = not innocent and claim == "preset.repeats"
            wrong |= "alarm" in os.environ.get("STOCK", "") and name == "stock"
            outcome = TestOutcome.FAILED if wrong else TestOutcome.PASSED
            if "holds" in name and claim != "preset.repeats":
                outcome = TestOutcome.SKIPPED
            writer.result(result(claim, outcome))
        failed = not innocent or (name == "stock" and "alarm" in os.environ.get("STOCK", ""))
        writer.end(int(failed))
    return int(failed)


def log_lines() -> list[str]:
    return Path(os.environ["FAKE_LOG"]).read_text().splitlines()


def sweep(name: str, output: Path) -> int:
    if "frozen" in name:
        print(LOST)
        return 71
    if os.environ.get("SWEEP") == "dies":
        return 1
    (output / "sweep.json").write_text('{"verdicts": []}')
    return int(not (name.startswith("stock") or "survives" in name))


def lane(source: str, folder: str, _boot_limit: str) -> int:
    """Answers as lab/mutation/guest.py does, until it is killed or the machine is lost."""
    place, share, boot = Path(folder), shares.at(Path(folder)), Source.load(Path(source)).boot
    log(f"lane {os.getpid()}")
    for number in itertools.count():
        while not (file := share.path / guest.request_file(number)).exists():
            time.sleep(0.01)
        request = json.loads(file.read_text())
        output = Path(request["output"]).parent
        log(f"words {output.name} {request['modules']} {boot} {' '.join(request['words'])}")
        log(f"begin {output.name}")
        answer = {"left": "rmmod: ERROR: Module kvm is in use" if "stays" in output.name else ""}
        if "refused" in output.name:
            answer["refused"] = "insmod: Invalid module format"
        else:
            with (place / "console.log").open("a") as console:
                console.write(f"[ 0.5] {request['marker']}\n")
            answer["status"] = emulate(output.name, output)
            with (place / "console.log").open("a") as console:
                console.write((output / "console.log").read_text())
        if answer.get("status") == 71:
            lines = (place / "console.log").read_text().splitlines()
            told = lost.LostVm("the machine hung", consoles.panic(lines), tuple(lines))
            (place / "lost.json").write_text(json.dumps(asdict(told)))
            return 71
        (share.path / guest.answer_file(number)).write_text(json.dumps(answer))
    return 0


def main() -> int:
    child.end_with_the_parent()
    what, *rest = sys.argv[1:]
    if what == "make":
        return make(*rest)
    if what == "lane":
        return lane(*rest)
    given = dict(word.partition("=")[::2] for word in rest)
    output = Path(given["--output"])
    log(f"words {output.name} {' '.join(rest)}")
    log(f"begin {output.name}")
    try:
        return (emulate if what == "emulate" else sweep)(output.name, output)
    except KeyboardInterrupt:
        return 130
    finally:
        log(f"end {output.name}")


if __name__ == "__main__":
    sys.exit(main())
