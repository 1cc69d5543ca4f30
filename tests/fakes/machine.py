# SPDX-License-Identifier: GPL-2.0-only
"""A machine that is only played: a program in the place of virtme-ng, which ends as it is told.

Called by the keeper it plays the machine, which may be hostile: `machine.py ENDING PLACE`.
Called by a test as `machine.py tool ENDING OUTPUT` it is `kvm-conformance emulate` with such a
machine.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

from harness import signs
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.emulation import bundle, kernel, machine
from lab.emulation.share import WRITABLE

ROOT = Path(__file__).resolve().parents[2]
KERNEL = kernel.Kernel(Path("/no/vmlinuz"), "6.99.0", "fake 6.99.0", None, "fake")
PANIC = "Kernel panic - not syncing: KVM: a machine fell over"
#: A console as a terminal would get it.
PANICS = f"""\
\x1b[2J\x1b[01;31m[    9.000001] all is well\x1b[0m\r
[   11.000001][  T412] BUG: unable to handle page fault\r
[   12.345678][  T412] {PANIC}\r
[   12.400000] ---[ end {PANIC} ]---\r
"""
INSMOD = "insmod: ERROR: could not insert module /m/kvm.ko: Invalid module format"
MAGIC = "kvm: version magic '6.98.0 SMP mod_unload ' should be '6.99.0 SMP mod_unload '"
REFUSES = f"""\
[    9.000001] kvm: loading out-of-tree module taints kernel.\r
[    9.000002][  T99] {MAGIC}\r
{INSMOD}
"""
LEFT_BEHIND = "left-behind"
#: Beside the folder of results: what a hostile machine aims at.
VICTIM = "victim"
ESCAPE = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e"


def play(ending: str, place: Path) -> int:
    """One machine, from its boot to its end; the exit code of virtme-ng."""
    control = place / machine.CONTROL
    share = control / WRITABLE
    if ending == "never_boots":
        time.sleep(600)
    if ending == "no_boot_panic":
        sys.stderr.write(PANICS)
        return 255
    if ending == "refused":
        print("virtme-run: no such kernel", file=sys.stderr)
        return 1
    (Path(os.environ["TMPDIR"]) / "of-virtme-ng").touch()
    _state(share, "up")
    if ending == "modules":
        sys.stderr.write(REFUSES)
        _state(share, f"refused {INSMOD}")
        return 1
    if ending != "no_kvm":
        _state(share, "kvm")
    if ending in ("job", "no_kvm"):
        done = subprocess.run(
            ["/bin/sh", control / "job.sh"], stdin=subprocess.DEVNULL, check=False
        )
        _state(share, f"status {done.returncode}")
        return done.returncode
    if ending == "usage":
        sys.stderr.write("[ 9.000001] all is well\r\nERROR: --first: there is no claim 'x'\r\n")
        _state(share, "status 4")
        return 4
    _begin(share, _run_id(control))
    if ending == "panics":
        sys.stderr.write(PANICS)
        return 255
    if ending == "vanishes":
        return 0
    if ending.startswith("hostile_"):
        while not _is_copied(share, place):
            time.sleep(0.01)
        _spoil(ending.removeprefix("hostile_"), share, place)
        if (share / "state").is_file() and not (share / "state").is_symlink():
            _state(share, "status 0")
        return 0
    if ending == "ends":
        _finish(share)
        _state(share, "status 0")
        return 0
    # A process that loses its parent and leaves the session, as QEMU may.
    code = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)"
    subprocess.run([sys.executable, "-c", code], check=True)
    (place / LEFT_BEHIND).touch()
    time.sleep(600)
    return 0


def _state(share: Path, line: str) -> None:
    with (share / "state").open("a") as file:
        file.write(f"{line}\n")


def _run_id(control: Path) -> str:
    """What pytest would find on its command line."""
    found = re.search(r"--run-id=(\w+)", (control / "job.sh").read_text())
    return found[1] if found else ""


def _begin(share: Path, run: str = "") -> None:
    """The journal of a run with one test through and one that runs."""
    host = {"kernel": "6.99.0", "architecture": "x86_64", "tier": "emulated"}
    with journal.Writer(share / journal.NAME) as writer:
        writer.session(host, run)
        writer.planned({"preset.a": "preset.repeats", "preset.b": "preset.returns_eintr"})
        for name, claim in (("preset.a", "preset.repeats"), ("preset.b", "preset.returns_eintr")):
            writer.start(name)
            if name == "preset.a":
                writer.result(_passed(name, claim))


def _finish(share: Path) -> None:
    with journal.Writer(share / journal.NAME, fresh=False) as writer:
        writer.result(_passed("preset.b", "preset.returns_eintr"))
        writer.end(0)


@functools.cache
def journal_of_a_run() -> bytes:
    """The journal of a run with two tests, both through."""
    with tempfile.TemporaryDirectory() as share:
        _begin(Path(share))
        _finish(Path(share))
        return Path(share, journal.NAME).read_bytes()


def _is_copied(share: Path, place: Path) -> bool:
    """Whether what the machine has told so far is in the folder of results."""
    there, copy = share / journal.NAME, place / journal.NAME
    return copy.exists() and copy.stat().st_size == there.stat().st_size


def _spoil(how: str, share: Path, place: Path) -> None:
    """What a kernel that is root in its machine can make of the share; each is to do no harm."""
    victim = place.parent / VICTIM
    names = (journal.NAME, "junit.xml", "environment.json", "last-words.txt")
    if how == "journal":
        with (share / journal.NAME).open("a") as file:
            file.write(f"{'[' * 200_000}\n")
        return
    if how == "escapes":
        with journal.Writer(share / journal.NAME, fresh=False) as writer:
            writer.result(_passed(f"preset.b{ESCAPE}", "preset.repeats", f"odd {ESCAPE} one"))
            writer.end(0)
        sys.stdout.write(f"said{ESCAPE}\n")
        return
    for name in names:
        (share / name).unlink(missing_ok=True)
        if how == "links":
            (share / name).symlink_to(victim)
        elif how == "fifos":
            os.mkfifo(share / name)
        elif how == "endless":
            (share / name).symlink_to("/dev/zero")
        elif how == "folders":
            (share / name).mkdir()
        elif how == "huge":
            with (share / name).open("wb") as file:
                file.truncate(1 << 40)
    if how in ("links", "fifos"):
        (share / "state").unlink()
        if how == "links":
            (share / "state").symlink_to(victim)
        else:
            os.mkfifo(share / "state")
    deep = os.open(share, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)


def _passed(name: str, claim: str, message: str = "") -> Result:
    return Result(name, claim, TestOutcome.PASSED, "call", "", message, "", 0.0, "", journal.now())


def command(ending: str, share: Path) -> list[str]:
    """What stands in the place of virtme-ng's command line."""
    return [sys.executable, str(Path(__file__).resolve()), ending, str(share)]


def playing(ending: str) -> AbstractContextManager[object]:
    """A context in which lab.emulation.machine boots such a machine."""
    return mock.patch.object(
        machine, "command", lambda _kernel, _machine, _job, share, _: command(ending, share.place)
    )


def processes_of(share: Path) -> list[str]:
    """Processes of a machine with this share that still run."""
    needle = os.fsencode(f"TMPDIR={share}/")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if needle in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                pass
    return found


def tool(ending: str, output: Path) -> int:
    """`kvm-conformance emulate --output OUTPUT` with a played machine."""
    from tools import emulate
    from tools.cli import main

    with (
        playing(ending),
        mock.patch.object(bundle, "image", return_value=None),
        mock.patch.object(emulate.kernels, "find", return_value=KERNEL),
    ):
        return main(["emulate", "--output", str(output)])


def start_tool(
    ending: str, output: Path, signs_every_s: float = signs.EVERY_S
) -> subprocess.Popen[str]:
    """The same as a process of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, "tool", ending, str(output), str(signs_every_s)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


if __name__ == "__main__":
    if sys.argv[1] == "tool":
        signs.EVERY_S = float(sys.argv[4])
        sys.exit(tool(sys.argv[2], Path(sys.argv[3])))
    sys.exit(play(sys.argv[1], Path(sys.argv[2])))
