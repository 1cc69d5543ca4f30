# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance soak` as a person sees it: nothing is cut, and the terminal stays sane."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import termios
import threading
from pathlib import Path

import pytest
from rich.console import Console

from lab.launch.exit_codes import Exit
from lab.soak import plan
from lab.soak.tally import LANDING_WORDS, Tally
from tests.lab.soak.test_soak import ROOT, command, needs_kvm, wait_for_a_slice
from tools.screen.soak import SoakState, table

COLUMNS = 80  # and everything must fit


def test_what_is_shown_fits() -> None:
    """However long the soak and whatever it does."""
    race, control = Tally(kicks=10**11, seconds=1e6), Tally(kicks=10**6)
    race.landings.update(dict.fromkeys(LANDING_WORDS, 10**11))
    race.lost["in the window"], control.lost["in the window"] = 10**8, 10**6
    protocols = plan.PROTOCOLS
    state = SoakState(dict.fromkeys(protocols, race), dict.fromkeys(protocols, control))
    console = Console(width=COLUMNS)
    with console.capture() as caught:
        console.print(table(state, words=True))
    rows = caught.get().splitlines()
    assert [row[:16].strip() for row in rows] == [
        *("", "kicks", "kicks/s", *LANDING_WORDS),
        *("lost", "late", "bound 95 %", "control's kicks", "control lost", "verdict"),
    ], "no row may be broken"
    assert "…" not in caught.get(), "nothing may be cut"
    guests = tuple((guest, "protected") for guest in plan.GUESTS)
    every = plan.combinations(protocols, guests, tuple(plan.SHAPES), plan.DELIVERIES)
    assert max(len(f"now {each.describe()}") for each in every) <= COLUMNS


@needs_kvm
@pytest.mark.usefixtures("own_processors")
def test_ctrl_c_leaves_a_sane_terminal(tmp_path: Path) -> None:
    own, other = pty.openpty()
    before = termios.tcgetattr(other)
    process = subprocess.Popen(
        command(tmp_path / "results"), cwd=ROOT, stdin=other, stdout=other, stderr=other,
        env={**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm"},
    )  # fmt: skip
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while True:
                shown.append(os.read(own, 4096))

    reader = threading.Thread(target=read)
    reader.start()
    wait_for_a_slice(tmp_path / "results", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == Exit.SIGINT
    assert termios.tcgetattr(other) == before
    os.close(other)
    reader.join(60)
    os.close(own)
    table_part, _, report_part = b"".join(shown).decode().partition("soak of ")
    assert "kicks/s" in table_part
    assert table_part.count("\x1b[?25l") == table_part.count("\x1b[?25h") == 1, "the cursor"
    assert "ended by Ctrl-C" in report_part
    assert "\x1b[1A" not in report_part, "the report must stay"
    assert "\x1b" not in (tmp_path / "results" / "soak.txt").read_text(encoding="utf-8")
    assert "Traceback" not in table_part + report_part
    shown_lines = re.split(r"\r?\n|\r|\x1b\[1A", table_part + report_part)
    lines = [re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", line) for line in shown_lines]
    assert max(len(line) for line in lines if "Results go to" not in line) <= COLUMNS
