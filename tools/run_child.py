# SPDX-License-Identifier: GPL-2.0-only
"""What runs side by side are: a process that prepares each, and one that tests it.

``find KERNEL`` prints a JSON object: ``release``, ``name`` and ``digest``, or the sentence
``error``. ``make SOURCE FOLDER MUTANT`` does so for a mutant (lab/mutation/make.py). ``lane ...``
keeps a machine for several mutants (lab/mutation/keep.py). All others
are commands of ``kvm-conformance``. They end when their parent is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness import files
from lab.emulation import kernel as kernels
from lab.emulation.errors import KernelError
from lab.launch.exit_codes import Exit
from tools import cli, ending

_LARGEST = 1024 * files.MEGABYTE
PARENT = "KVM_CONFORMANCE_PARENT"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: Sequence[str]) -> int:
    """Does one of them; the exit code."""
    end_with_the_parent()
    return ending.end_in_order(lambda: _do(*arguments))


def _do(what: str, *rest: str) -> int:
    if what == "find":
        return find(rest[0])
    if what == "make":
        made: int = importlib.import_module("lab.mutation.make").make(*rest)
        return made
    if what == "lane":
        ended: int = importlib.import_module("lab.mutation.keep").keep(*rest)
        return ended
    return cli.command([what, *rest])


def find(spec: str) -> int:
    """Prints what the kernel is, fetched where it must be."""
    try:
        kernel = kernels.find(spec, say=lambda text: click.echo(text, err=True))
        found = {"release": kernel.release, "name": kernel.name, "digest": digest(kernel)}
    except KernelError as error:
        click.echo(json.dumps({"error": str(error)}))
        return Exit.SUITE_ERROR
    except OSError as error:
        text = f"{error.filename or spec} cannot be read: {error.strerror}"
        click.echo(json.dumps({"error": text}))
        return Exit.SUITE_ERROR
    click.echo(json.dumps(found))
    return Exit.HELD


def digest(kernel: kernels.Kernel) -> str:
    """Tells two kernels of one release apart, such as a build tree before and after a change.

    Of the image, and of KVM where it is a module.
    """
    if kernel.modules:
        folder, pattern = kernel.modules / "lib/modules" / kernel.release, "kernel/arch/*/kvm/*.ko*"
    else:
        folder, pattern = Path(kernel.source).expanduser(), "arch/*/kvm/*.ko"
    whole = hashlib.sha256()
    for path in (kernel.image, *sorted(folder.glob(pattern))):
        whole.update(hashlib.sha256(files.read_regular(path, _LARGEST)).digest())
    return whole.hexdigest()[:16]


def end_with_the_parent() -> None:
    """SIGTERM when the parent dies, also by SIGKILL; at once where it is dead already."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if str(os.getppid()) != os.environ.get(PARENT, str(os.getppid())):
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
