# SPDX-License-Identifier: GPL-2.0-only
"""A machine that is only played: a program in the place of virtme-ng, which ends as it is told.

Called by the keeper it plays the machine: `fake_machine.py ENDING SHARE`. Called by a test as
`fake_machine.py tool ENDING OUTPUT` it is `kvm-conformance emulate` with such a machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

from harness import signs
from harness.emulation import bundle, kernel, machine
from harness.reporting import journal
from harness.reporting.results import Outcome, Result

ROOT = Path(__file__).resolve().parent.parent
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


def play(ending: str, share: Path) -> int:
    """One machine, from its boot to its end; the exit code of virtme-ng."""
    control = share / machine.CONTROL
    if ending == "never_boots":
        time.sleep(600)
    if ending == "no_boot_panic":
        sys.stderr.write(PANICS)
        return 255
    if ending == "refused":
        print("virtme-run: no such kernel", file=sys.stderr)
        return 1
    (Path(os.environ["TMPDIR"]) / "of-virtme-ng").touch()
    _state(control, "up")
    if ending == "modules":
        sys.stderr.write(REFUSES)
        _state(control, f"refused {INSMOD}")
        return 1
    if ending != "no_kvm":
        _state(control, "kvm")
    if ending in ("job", "no_kvm"):
        done = subprocess.run(
            ["/bin/sh", control / "job.sh"], stdin=subprocess.DEVNULL, check=False
        )
        _state(control, f"status {done.returncode}")
        return done.returncode
    if ending == "usage":
        sys.stderr.write("[ 9.000001] all is well\r\nERROR: --first: there is no claim 'x'\r\n")
        _state(control, "status 4")
        return 4
    _begin(share, _run_id(control))
    if ending == "panics":
        sys.stderr.write(PANICS)
        return 255
    if ending == "vanishes":
        return 0
    if ending == "ends":
        _finish(share)
        _state(control, "status 0")
        return 0
    # A process that loses its parent and leaves the session, as QEMU may.
    code = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)"
    subprocess.run([sys.executable, "-c", code], check=True)
    (share / LEFT_BEHIND).touch()
    time.sleep(600)
    return 0


def _state(control: Path, line: str) -> None:
    with (control / "state").open("a") as file:
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


def _passed(name: str, claim: str) -> Result:
    return Result(name, claim, Outcome.PASSED, "call", "", "", "", 0.0, "", journal.now())


def command(ending: str, share: Path) -> list[str]:
    """What stands in the place of virtme-ng's command line."""
    return [sys.executable, str(Path(__file__).resolve()), ending, str(share)]


def playing(ending: str) -> AbstractContextManager[object]:
    """A context in which harness.emulation.machine boots such a machine."""
    return mock.patch.object(
        machine, "command", lambda _kernel, _machine, _share, place, _bundle: command(ending, place)
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
