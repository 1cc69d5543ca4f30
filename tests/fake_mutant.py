# SPDX-License-Identifier: GPL-2.0-only
"""Plays the children of a mutation: `make ...`, `emulate ...` and `sweep ...`, without a machine.

The mutant's id says what happens: its words are parts of it (`mask_survives`). Each child writes a
line to $FAKE_LOG when it begins and when it ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from fake_emulate import log

from harness.mutation.source import Source
from harness.reporting import journal
from harness.reporting.results import Outcome, Result
from tools import run_child

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


def result(claim: str, outcome: Outcome) -> Result:
    text = "" if outcome is Outcome.PASSED else "it failed"
    return Result(f"{claim}.test", claim, outcome, "call", "", text, "", 0.1, "", journal.now())


def emulate(name: str, output: Path) -> int:
    attempt = 1 + sum(line == f"begin {name}" for line in log_lines()[:-1])
    (output / "console.log").write_text("[ 1.0] all is well\n")
    if "frozen" in name and ("always" in name or attempt == 1):
        print(LOST)
        return 71
    with journal.Writer(output / journal.NAME) as writer:
        writer.session({"tier": "emulated"})
        writer.planned({f"{claim}.test": claim for claim in PLANNED})
        if "panics" in name:
            (output / "console.log").write_text("[ 2.0] Kernel panic - not syncing: oops\n")
            print(f"{LOST}")
            return 71
        if "stuck" in name:
            log(f"stuck {name} {os.getpid()}")
            if not os.environ.get("GO"):
                time.sleep(100)
        innocent = name == "stock" or "survives" in name or "holds" in name
        for claim in PLANNED:
            wrong = not innocent and claim == "preset.repeats"
            wrong |= "alarm" in os.environ.get("STOCK", "") and name == "stock"
            writer.result(result(claim, Outcome.FAILED if wrong else Outcome.PASSED))
        failed = not innocent or (name == "stock" and "alarm" in os.environ.get("STOCK", ""))
        writer.end(int(failed))
    return int(failed)


def log_lines() -> list[str]:
    return Path(os.environ["FAKE_LOG"]).read_text().splitlines()


def sweep(name: str, output: Path) -> int:
    (output / "sweep.json").write_text('{"verdicts": []}')
    return int(not (name.startswith("stock") or "survives" in name))


def main() -> int:
    run_child.end_with_the_parent()
    what, *rest = sys.argv[1:]
    if what == "make":
        return make(*rest)
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
