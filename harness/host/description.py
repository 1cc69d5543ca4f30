# SPDX-License-Identifier: GPL-2.0-only
"""What this host is: recorded with every test, for a verdict without its host says little."""

from __future__ import annotations

import functools
import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.host import parameters

#: The variable by which a machine is said to be slow ("yes"), as netdev's CI does.
SLOW = "KSFT_MACHINE_SLOW"
_SYS = Path("/sys")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Host:
    """One host.

    `kernel` is the release and `kernel_build` the version string (`uname -r`, `-v`); `backend` the
    module that serves /dev/kvm ("built in" where KVM is no module); `virtualization` names what
    this host itself runs under ("none" on bare metal); `tier` is "hardware" (also nested),
    "emulated" or "emulated-instruction-clock"; `time_scale` is the factor of its pace
    (`harness.host.pace`); `emulator` is what a tool said that booted this host in an emulator, else
    None; `parameters` are those in force (`harness.host.parameters`), None where there are none.
    """

    kernel: str
    kernel_build: str
    architecture: str
    backend: str
    cpu: str
    cpus: int
    virtualization: str
    tier: str
    time_scale: float
    emulator: str | None = None
    parameters: str | None = None

    @property
    def nested(self) -> bool:
        """Whether the hypervisor under test runs under another one."""
        return self.virtualization != "none"

    def properties(self) -> dict[str, str]:
        """The fields as words, for reports."""
        fields = asdict(self).items()
        return {name: str(value) for name, value in fields if value is not None}

    def headline(self) -> str:
        """One line for people."""
        below = f", nested under {self.virtualization}" if self.nested else ""
        if self.emulator:
            below = f", emulated by {self.emulator}"
        return f"Linux {self.kernel} {self.architecture}, {self.backend}{below}, tier {self.tier}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def backend(sys: Path = _SYS) -> str:
    """The modules that hold kvm.ko, "kvm" if none does, "built in", or "none"."""
    holders = sys / "module/kvm/holders"
    if holders.is_dir():
        names = sorted(entry.name for entry in holders.iterdir() if entry.name.startswith("kvm"))
        return "+".join(names) or "kvm"
    vendor = sorted(entry.name for entry in sys.glob("module/kvm_*"))
    if vendor:
        return "+".join(vendor)
    return "built in" if (sys / "module/kvm").is_dir() else "none"


def cpu_model(cpuinfo: str) -> str:
    """The processor's name in the words of /proc/cpuinfo, whose keys differ by architecture."""
    for key in ("model name", "cpu model", "cpu", "uarch", "Processor", "CPU part", "hart isa"):
        found = re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return "unknown"


def virtualization(cpuinfo: str, sys: Path = _SYS, proc: Path = _PROC) -> str:
    """What this host runs under: a name where firmware tells one, "a hypervisor", or "none"."""
    flagged = bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE))
    vendor = _read(sys / "class/dmi/id/sys_vendor")
    if "QEMU" in vendor or "QEMU" in cpuinfo:
        return "QEMU"
    if _read(sys / "hypervisor/type"):
        return _read(sys / "hypervisor/type")
    compatible = _read(proc / "device-tree/hypervisor/compatible").strip("\0")
    if compatible:
        return compatible
    if _read(proc / "device-tree/compatible").startswith(("linux,dummy-virt", "riscv-virtio")):
        return "QEMU"
    if flagged:
        return vendor or "a hypervisor"
    return "none"


def tier(cpuinfo: str) -> str:
    """How this host came to have a KVM, which every result carries.

    A tool that boots an emulated host says so by KVM_CONFORMANCE_TIER; else QEMU's own name for
    the processor that its software emulation shows tells it.
    """
    told = os.environ.get("KVM_CONFORMANCE_TIER", "")
    if told in ("hardware", "emulated", "emulated-instruction-clock"):
        return told
    return "emulated" if "QEMU TCG" in cpuinfo else "hardware"


def time_scale() -> float:
    """How much longer everything may take: 1, or 10 by netdev's sign of a slow machine."""
    return 10.0 if os.environ.get(SLOW, "").lower() in ("yes", "1", "true") else 1.0


def cpuinfo() -> str:
    """What the kernel says of the processors; empty where it says nothing."""
    return _read(_PROC / "cpuinfo")


@functools.cache
def describe() -> Host:
    """This host, looked at once a process."""
    processors = cpuinfo()
    return Host(
        kernel=platform.release(),
        kernel_build=platform.version(),
        architecture=platform.machine(),
        backend=backend(),
        cpu=cpu_model(processors),
        cpus=len(os.sched_getaffinity(0)),
        virtualization=virtualization(processors),
        tier=tier(processors),
        time_scale=time_scale(),
        emulator=os.environ.get("KVM_CONFORMANCE_EMULATOR") or None,
        parameters=parameters.as_text(parameters.in_force(platform.version())) or None,
    )
