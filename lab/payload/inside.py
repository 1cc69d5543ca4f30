# SPDX-License-Identifier: GPL-2.0-only
"""Runs the suites in a payload as the kernel's command line says; called by the payload's init.

    conformance.arguments="--claim preset"   words for the run
    conformance.results=console|share|DISK   where journal and results go: DISK is a device with a
                                             file system, the share one of 9p with this tag
    conformance.tier=emulated                where QEMU emulates the processor: all takes longer

What came of it stands on the console as KTAP, whatever else. It imports no more of the project than
it needs at each moment: an emulated processor takes seconds for that.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path("/opt/python")
RESULTS = Path("/run/results")
JOURNAL = "journal.jsonl"
OTHERS = ("environment.json", "junit.xml", "kernel.log", "last-words.txt")
_PREFIX = "conformance."
_TICK_S = 0.2
_CANNOT = 70


def asked(line: str) -> dict[str, str]:
    """What a kernel's command line says to us. Raises ValueError for quotes without an end."""
    words = (word.partition("=") for word in shlex.split(line) if word.startswith(_PREFIX))
    return {name.removeprefix(_PREFIX): value for name, _, value in words}


def mounted(place: str) -> str:
    """Brings the place for results; why it cannot be had, or an empty text."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    if place == "console":
        return ""
    if place == "share":
        words = ["-t", "9p", "-o", "trans=virtio,version=9p2000.L", "share"]
    elif place.startswith("/dev/"):
        words = [place]
    else:
        return f"conformance.results={place} is none of console, share and a disk in /dev"
    done = subprocess.run(
        ["/bin/busybox", "mount", *words, str(RESULTS)], capture_output=True, check=False
    )
    told = done.stderr.decode(errors="replace").strip()
    return f"{place} cannot be mounted for the results: {told}" if done.returncode else ""


def environment(tier: str) -> dict[str, str]:
    """Of pytest."""
    from harness.host.description import SLOW

    slow = {"KVM_CONFORMANCE_TIER": tier, SLOW: "yes"} if tier else {}
    return {
        **os.environ,
        **slow,
        "KVM_CONFORMANCE_LAST_WORDS": str(RESULTS / "last-words.txt"),
        "PYTHONPATH": str(PACKAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def main(line: str) -> int:
    """One run; pytest's exit status."""
    try:
        wanted = asked(line)
        arguments = shlex.split(wanted.get("arguments", ""))
    except ValueError as error:
        return _refused(f"the kernel's command line cannot be read: {error}")
    place = wanted.get("results", "console")
    if why := mounted(place):
        return _refused(why)
    _write("conformance: begins\n")  # a lab that waits for a prompt may wait for this
    framer = None
    if place == "console":
        from lab.payload.frames import Framer

        framer = Framer(_write)
    send = framer.file if framer else _nothing
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
    command += [f"--results={RESULTS}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment(wanted.get("tier", ""))) as running:
        sent = 0
        while running.poll() is None:
            time.sleep(_TICK_S)
            sent += _more(sent, send)
    _more(sent, send, last=True)
    for name in OTHERS:
        if (RESULTS / name).is_file():
            send(name, (RESULTS / name).read_bytes())
    _write(ktap())
    if framer:
        framer.end(running.returncode)
    _write(f"conformance: pytest ended with {running.returncode}\n")
    return running.returncode


def _more(sent: int, send: Callable[[str, bytes], None], *, last: bool = False) -> int:
    """Sends what the journal has more of whole lines; how many bytes."""
    try:
        with (RESULTS / JOURNAL).open("rb") as file:
            file.seek(sent)
            data = file.read()
    except FileNotFoundError:
        return 0
    whole = len(data) if last else data.rfind(b"\n") + 1
    send(JOURNAL, data[:whole])
    return whole


def ktap() -> str:
    """The results as KTAP; a sentence where there are none."""
    from harness.claims import catalogue
    from harness.reporting import journal
    from lab.results import found
    from lab.results.ktap import render

    try:
        read = journal.read(RESULTS / JOURNAL)
    except (OSError, journal.JournalError) as error:
        return f"Bail out! there are no results: {error}\n"
    return render([found.of_journal(read, catalogue())])


def _nothing(_name: str, _data: bytes) -> None:
    pass


def _refused(why: str) -> int:
    _write(f"Bail out! {why}\nconformance: pytest ended with {_CANNOT}\n")
    return _CANNOT


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(PACKAGES)]
    sys.exit(main(Path("/proc/cmdline").read_text(encoding="ascii", errors="replace")))
