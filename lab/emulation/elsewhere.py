# SPDX-License-Identifier: GPL-2.0-only
"""A machine of another architecture than this host's: QEMU with a payload as its root.

No program of this host can run in there, so its root is a payload (lab/payload), which the kernel
unpacks into memory. Behind it stands a small archive of this run: the job, the kernel's modules. Of
this host the machine sees its share, and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.emulation.arch import Foreign
from lab.emulation.cache import megabytes
from lab.emulation.errors import EmulationError
from lab.emulation.kernel import Kernel
from lab.emulation.loading import Modules, plain
from lab.emulation.share import Share
from lab.payload.formats import cpio
from lab.payload.nodes import Node, file

INITIAL = "initial.cpio"
# Loaded before the job: what reaches the share, what takes its words, and KVM.
_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p")
_SAID = "said"  # the port of what the job says; the payload's init looks for it


def fill(
    control: Path,
    foreign: Foreign,
    kernel: Kernel,
    script: str,
    share: Share,
    payload: Path,
    modules: Path | None,
) -> None:
    """Writes the initial file system. Raises `EmulationError` where it does not fit the board."""
    own = control / "own.cpio"
    cpio(_of_run(foreign, kernel, script, share, modules), own)
    size = payload.stat().st_size + own.stat().st_size
    limit = foreign.board.largest_initrd
    if limit and size > limit:
        raise EmulationError(
            f"the payload does not fit: with the kernel's modules it has {megabytes(size)}, and "
            f"{foreign.architecture.machine}'s firmware takes {megabytes(limit)}; "
            "give modules without debugging symbols (strip --strip-debug)"
        )
    with (control / INITIAL).open("wb") as whole:
        for part in (payload, own):
            with part.open("rb") as source:
                shutil.copyfileobj(source, whole, 1 << 20)
    own.unlink()


def _of_run(
    foreign: Foreign, kernel: Kernel, script: str, share: Share, modules: Path | None
) -> dict[str, Node]:
    """/machine of the payload's init."""
    folder = kernel.modules / "lib/modules" / kernel.release if kernel.modules else None
    files = {plain(name): f"{name}.ko" for name in foreign.architecture.modules}
    kvm = tuple(files)
    found = Modules(folder).ordered([*_MODULES, *foreign.architecture.companions, *kvm])
    order = {name: name for name in found}
    if modules is not None:
        for name in kvm:
            found[name] = (modules / files[name]).read_bytes()
            order.pop(name, None)
            order[name] = f"{name} own"
    return {
        **{f"machine/modules/{name}.ko": file(data) for name, data in found.items()},
        "machine/order": file("".join(f"{line}\n" for line in order.values()).encode()),
        "machine/share": file(f"{share.path}\n".encode()),
        "machine/job.sh": file(script.encode()),
    }


def command(
    program: str, foreign: Foreign, kernel: Kernel, share: Share, words: Sequence[str], line: str
) -> list[str]:
    """QEMU's command line; `words` are more of it, and `line` is of the kernel's."""
    board = foreign.board
    devices = ["virtio-9p-pci,fsdev=share,mount_tag=share", "virtio-serial-pci,id=ports"]
    if board.buses:
        devices = [f"{device},bus={bus}" for device, bus in zip(devices, board.buses, strict=False)]
    devices.append(f"virtserialport,bus=ports.0,chardev={_SAID},name={_SAID}")
    whole = [f"console={board.console}", "panic=-1", line, *foreign.way.parameters]
    return [
        *(str(shutil.which(program)), *foreign.machine, "-no-reboot", "-no-user-config"),
        *("-display", "none", "-monitor", "none"),
        # What comes by a pipe is opened anew, and so is never read.
        *("-chardev", "file,id=console,path=/proc/self/fd/2", "-serial", "chardev:console"),
        *("-chardev", f"file,id={_SAID},path=/proc/self/fd/1"),
        *("-fsdev", f"local,id=share,path={share.path},security_model=none,multidevs=remap"),
        *(word for device in devices for word in ("-device", device)),
        *("-kernel", str(kernel.image), "-initrd", str(share.path.parent / INITIAL)),
        *("-append", " ".join(whole), *words),
    ]
