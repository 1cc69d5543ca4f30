# SPDX-License-Identifier: GPL-2.0-only
"""An emulated host: QEMU's software emulation with a kernel under test, booted by virtme-ng."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import files, plain_text
from lab.emulation import arch, counter, elsewhere, programs, reach
from lab.emulation.arch import EmulatedArchitecture, Foreign
from lab.emulation.console import last_lines, panic, refusal
from lab.emulation.errors import EmulationError
from lab.emulation.kernel import Kernel
from lab.emulation.share import CONTROL, Share
from lab.emulation.watch import Limits, MachineWatch
from lab.launch import keeper
from lab.launch.lost import LostVm
from lab.launch.stopping import held_off

__all__ = ["CONTROL", "Job", "Limits", "Machine", "MachineEnd", "command", "run"]

TEMPORARY = "tmp"  # in the control folder: virtme-ng leaves files behind when it is killed
RULES = "rules.d"
ROOT = "root"  # where the root is mounted that QEMU sees
CONSOLE = "console.log"
#: The paths that virtme-ng takes for its --rwdir.
SHARE = re.compile(r"[A-Za-z0-9_+ /.-]+")
MOST_CPUS = 64
LEAST_MEMORY = 512 << 20  # bytes: less does not hold a distribution's kernel and the suites
_UNITS = {"M": 1 << 20, "G": 1 << 30}
_HERE = Path(__file__).resolve().parent
_TICK_S = 0.1
# A kernel that has oopsed goes on without the process that met it: it is to end with words.
_PARAMETERS = ("loglevel=5", "nokaslr", "oops=panic")
# The end of a VM waits for grace periods of RCU, idly, hundreds of times in a run of the suites.
# The second word undoes what PREEMPT_RT does for its latencies. A sweep ends few VMs.
_IMPATIENT = ("rcupdate.rcu_expedited=1", "rcupdate.rcu_normal_after_boot=0")
_KEPT_WORDS = ("LANG", "LC_ALL", "TERM", "TZ")
_MOST_TEXT = 256 * files.MEGABYTE  # of a console, and of what the job says
_VNG_LOST = 255  # virtme-ng's exit code when a machine vanished
# Where udev's own rules are: /lib where /usr is not merged.
_UDEV_RULES = (Path("/usr/lib/udev/rules.d"), Path("/lib/udev/rules.d"))
# All that a machine needs of udev: the ports by which virtme-ng speaks with it, by their names.
# Its other rules look at each of some hundred devices and load drivers that no suite uses, which is
# half of a boot.
_RULES = 'SUBSYSTEM=="virtio-ports", ATTR{name}=="?*", SYMLINK+="virtio-ports/$attr{name}"\n'


@dataclass(frozen=True)
class Machine:
    """The emulated hardware.

    `cpus` emulated ones; `memory` with its unit, as QEMU takes it; `qemu` a program's name or
    path, the architecture's own if empty; `options` more words for QEMU; `instruction_clock`: one
    processor, whose time is the number of instructions that it executed (one a nanosecond), the
    same in every run; `kernel_parameters` more words for the kernel's command line.
    `threads`: each emulated processor has a thread of its own. Else they take turns, some thousand
    instructions each: QEMU 7.2 froze in most runs of the suites with KVM on several threads, and in
    none with turns. `foreign`: the architecture, where it is not this host's.
    """

    cpus: int = 2
    memory: str = "2G"
    qemu: str = ""
    options: tuple[str, ...] = ()
    kernel_parameters: tuple[str, ...] = ()
    instruction_clock: bool = False
    threads: bool = False
    foreign: Foreign | None = None

    @property
    def architecture(self) -> EmulatedArchitecture:
        """Its architecture. Raises `EmulationError` where none of this host's is known."""
        return arch.of(self.foreign)

    @property
    def program(self) -> str:
        """QEMU's program. Raises `EmulationError` where this architecture has none."""
        return self.qemu or self.architecture.qemu

    @property
    def tier(self) -> str:
        """The tier of results from this machine (harness.host.description)."""
        return "emulated-instruction-clock" if self.instruction_clock else "emulated"

    def check(self) -> None:
        """Raises `EmulationError` for a machine that cannot be."""
        if not 1 <= self.cpus <= MOST_CPUS:
            raise EmulationError(f"{self.cpus} emulated processors: there may be 1 to {MOST_CPUS}")
        if self.instruction_clock and self.cpus != 1:
            raise EmulationError(
                f"the instruction clock counts one processor, and {self.cpus} were asked for"
            )
        found = re.fullmatch(r"([1-9][0-9]{0,9})([MG])", self.memory)
        if not found:
            raise EmulationError(f"{self.memory!r} is no amount of memory: write 2G or 1500M")
        asked, here = int(found[1]) * _UNITS[found[2]], _memory_here()
        if asked < LEAST_MEMORY:
            raise EmulationError(
                f"{self.memory} of memory is too little for a kernel with the suites: give it "
                f"{LEAST_MEMORY >> 20}M or more"
            )
        if asked > here:
            raise EmulationError(
                f"{self.memory} of memory is more than this host has ({here >> 20}M): ask for less"
            )

    def check_programs(self, *uses: str) -> None:
        """Raises `EmulationError` for what is missing here, or too old. `uses` are further ones."""
        programs.check(self.program, *uses, foreign=self.foreign)
        if self.foreign:
            package, said = self.architecture.qemu_package, f" for {self.foreign.name}"
            programs.need_version(self.program, self.foreign.way.oldest_qemu, said, package)
            if self.instruction_clock:
                oldest = self.foreign.board.oldest_clock
                programs.need_version(self.program, oldest, " to count its instructions", package)

    def describe(self) -> str:
        """The emulator in a few words. Raises `EmulationError` where there is none."""
        clock = " on an instruction clock" if self.instruction_clock else ""
        turns = " in turn" if self.cpus > 1 and not self.threads else ""
        cpus = f"{self.cpus} CPU{'s' * (self.cpus > 1)}{turns}{clock}"
        package = self.architecture.qemu_package
        of = f" of {self.foreign.name}" if self.foreign else ""
        return f"QEMU {programs.qemu_version(self.program, package)}{of}, {cpus}, {self.memory}"

    def qemu_words(self, *, realtime: bool = False) -> list[str]:
        """Words for QEMU besides those of virtme-ng; `realtime`: for a kernel with PREEMPT_RT."""
        here = self.architecture
        words = ["-cpu", here.cpu + (here.cpu_realtime if realtime else "")]
        if self.instruction_clock:
            words += ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
        else:
            words += ["-accel", f"tcg,thread={'multi' if self.threads else 'single'}"]
        return [*words, *self.options]


def _counted(machine: Machine) -> list[str]:
    """What tells the kernel of its processor's counter, which is this host's."""
    word = machine.architecture.counter
    if machine.foreign or machine.instruction_clock or not word:
        return []
    return [f"{word}={counter.khz()}"] if counter.khz() else []


def _memory_here() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True)
class Job:
    """What the emulated host executes, as root: a command with its environment and folder.

    `modules` is a folder with KVM's modules, to be loaded instead of the kernel's own;
    `reads` are files and folders that the command reads beside the checkout and the system's.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    modules: Path | None = None
    reads: Sequence[Path] = ()

    def script(self) -> str:
        """The same for a shell. Every word is quoted."""
        lines = [f"cd {shlex.quote(str(self.folder))} || exit 126"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return "\n".join([*lines, f"exec {shlex.join(self.command)}", ""])


@dataclass(frozen=True)
class MachineEnd:
    """How a machine ended: the job's exit code, or `lost`. `booted_s` is None if it never was up.

    `has_kvm`: /dev/kvm was there when the job began.
    """

    status: int | None
    lost: LostVm | None
    booted_s: float | None
    seconds: float
    has_kvm: bool


def command(
    kernel: Kernel, machine: Machine, job: Job, share: Share, bundle: Path | None
) -> list[str]:
    """virtme-ng's command line; it runs guest.sh of the control folder. Or QEMU's, elsewhere."""
    words = machine.qemu_words(realtime=kernel.is_realtime)
    impatient = () if machine.instruction_clock else _IMPATIENT
    own = machine.architecture.parameters
    parameters = [*_PARAMETERS, *own, *_counted(machine), *impatient, *machine.kernel_parameters]
    control = share.path.parent
    if machine.foreign:
        files = [*reach.of_qemu(machine.program), *reach.named_in(machine.options)]
        return [
            *reach.only(control / ROOT, [kernel.image, control, *files]),
            *elsewhere.command(
                *(machine.program, machine.foreign, kernel, share),
                ["-smp", str(machine.cpus), "-m", machine.memory, *words],
                " ".join(parameters),
            ),
        ]
    if bundle is not None:
        words += ["-drive", f"file={bundle},format=raw,if=virtio,readonly=on"]
    rules = next((path for path in _UDEV_RULES if path.is_dir()), None)
    seen = [
        job.folder,
        job.modules,
        *job.reads,
        bundle,
        control,
        *reach.of_kernel(kernel.image, kernel.modules),
    ]
    seen += [*reach.of_qemu(machine.program), *reach.named_in(machine.options)]
    return [
        *reach.only(control / ROOT, [path for path in seen if path]),
        *(str(programs.vng()), "--run", str(kernel.image), "--user", "root", "--force-9p"),
        *("--disable-kvm", "--disable-microvm", "--verbose", "--qemu"),
        str(shutil.which(machine.program)),
        *("--cpus", str(machine.cpus), "--memory", machine.memory, f"--rwdir={share.path}"),
        *([f"--rodir={rules}={control / RULES}"] if rules else []),
        *(f"--append={word}" for word in parameters),
        f"--qemu-opts={shlex.join(words)}",
        *("--exec", shlex.join(["/bin/sh", str(control / "guest.sh"), str(control)])),
    ]


def run(
    kernel: Kernel,
    machine: Machine,
    job: Job,
    share: Share,
    *,
    bundle: Path | None = None,
    limits: Limits,
    signs_of_life: Callable[[], float],
    output: int = 1,
    tick: Callable[[bool], None] = lambda _up: None,
    say: Callable[[str], None] = lambda _text: None,
) -> MachineEnd:
    """Boots the kernel, runs the job, and ends everything.

    `share` is the folder that the job can write, by its own path, and the only one. The console
    goes to console.log in its place. `signs_of_life` is a number that changes as long as the job
    goes on (a size); `output` the descriptor for the job's standard output; `tick` is called now
    and then with whether user space is up; `say` is told where the machine can read more of this
    host than it should.

    `bundle` is what lab.emulation.bundle makes, or elsewhere a payload, which must be there.

    Raises `EmulationError`, also where the kernel refuses the job's modules, and OSError where the
    share cannot be written. Whatever is raised, QEMU has ended.
    """
    machine.check()
    machine.check_programs()
    place = share.place
    if not SHARE.fullmatch(str(share.path)):
        raise EmulationError(
            f"an emulated host cannot have the folder {place}: virtme-ng takes paths of letters, "
            "digits, spaces and any of _+.- only; choose another --output"
        )
    if not machine.foreign and (why_not := reach.why_not()):
        say(why_not)
    control = share.path.parent
    _fill(control, job, machine)
    if machine.foreign and bundle:
        elsewhere.fill(control, machine.foreign, kernel, job.script(), share, bundle, job.modules)
    with os.fdopen(files.create(place / CONSOLE, mode=0o644), "wb") as console:
        started = time.monotonic()
        words = command(kernel, machine, job, share, bundle)
        with _kept(words, share, console.fileno(), output) as child:
            watch = MachineWatch(share, limits, signs_of_life, started)
            why = ""
            while child.poll() is None and not why:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_TICK_S)
                why = watch.look()
                tick(watch.booted_s is not None)
        watch.look()
        seconds = time.monotonic() - started
    if watch.status is not None:
        return MachineEnd(watch.status, None, watch.booted_s, seconds, watch.has_kvm)
    lines = last_lines(place / CONSOLE)
    if watch.refused is not None:
        raise EmulationError(_refused(kernel, job, watch.refused, refusal(lines)))
    said = panic(lines)
    if not why and watch.booted_s is None and child.returncode not in (0, _VNG_LOST):
        raise EmulationError(
            f"{'QEMU' if machine.foreign else 'virtme-ng'} could not boot {kernel.name}: "
            f"{lines[-1] if lines else 'no word from it'}; "
            f"all of it is in {place / CONSOLE}"
        )
    if not why:
        why = "the kernel panicked" if said else "the machine ended by itself"
        if watch.booted_s is None:
            why += " before it reached user space"
    lost = LostVm(why, said, tuple(lines), booted=watch.booted_s is not None)
    return MachineEnd(None, lost, watch.booted_s, seconds, watch.has_kvm)


def _refused(kernel: Kernel, job: Job, insmod: str, said: str) -> str:
    """That modules do not load, in the words of insmod and of the kernel."""
    words = f"{insmod or 'insmod told no reason'}{f' ({said})' if said else ''}"
    return (
        f"{kernel.name} does not load the KVM in {job.modules}: {words}; build it from this very "
        "kernel's sources and configuration"
    )


def _fill(control: Path, job: Job, machine: Machine) -> None:
    """What the machine is told stands beside its share: it can read that, and not write it."""
    shutil.copy(_HERE / "guest.sh", control / "guest.sh")
    (control / "job.sh").write_text(job.script(), encoding="utf-8")
    here = machine.architecture
    (control / "modules").write_text(str(job.modules or ""), encoding="utf-8")
    (control / "names").write_text(" ".join(here.modules), encoding="utf-8")
    (control / "companions").write_text(" ".join(here.companions), encoding="utf-8")
    for name in (TEMPORARY, RULES, ROOT):
        (control / name).mkdir(exist_ok=True)
    (control / RULES / "ports.rules").write_text(_RULES, encoding="utf-8")


@contextlib.contextmanager
def _kept(
    words: list[str], share: Share, console: int, output: int
) -> Iterator[subprocess.Popen[bytes]]:
    """The command below a keeper, which ends it when this block ends or this process dies.

    The keeper then removes the control folder, too, where it was this process that died.

    Its texts come through pipes: QEMU opens /proc/self/fd/1 anew, and of a file it would overwrite
    the beginning.
    """
    control = share.path.parent
    kept = subprocess.Popen(
        [sys.executable, keeper.__file__, str(control), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=_environment(control / TEMPORARY),
    )
    assert kept.stdin
    assert kept.stdout
    assert kept.stderr
    pumps = [
        threading.Thread(target=_pump, args=words, daemon=True)
        for words in (
            (kept.stdout.fileno(), output, share),
            (kept.stderr.fileno(), console, None),
        )
    ]
    for pump in pumps:
        pump.start()
    try:
        yield kept
    finally:
        with held_off():
            with contextlib.suppress(BrokenPipeError):
                kept.stdin.write(b"end")
                kept.stdin.close()
            kept.wait()
            for pump in pumps:
                pump.join()
            kept.stdout.close()
            kept.stderr.close()


def _environment(temporary: Path) -> dict[str, str]:
    """Of virtme-ng and QEMU: little, for the machine can read it. No user's settings are there."""
    kept = {name: word for name, word in os.environ.items() if name in _KEPT_WORDS}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return {**kept, "PATH": path, "TMPDIR": str(temporary), "HOME": str(temporary)}


def _pump(source: int, sink: int, share: Share | None) -> None:
    """Copies until the end. A sink that is full or gone must not stop the machine.

    With a `share` it is for people: what a terminal would obey is left out, and files are said to
    be where they will be. Of a machine that talks without end the rest is dropped.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    left = _MOST_TEXT
    while data := os.read(source, 1 << 16):
        left -= len(data)
        if left < 0:
            continue
        if share:
            text = plain_text.plain(decoder.decode(data))
            data = text.replace(str(share.path), str(share.place)).encode()
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(sink, data) :]
