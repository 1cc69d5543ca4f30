# SPDX-License-Identifier: GPL-2.0-only
"""What runs side by side are: a process that prepares each, and one that tests it.

``find KERNEL [ARCH]`` prints a JSON object: ``release``, ``name`` and ``digest``, or the sentence
``error``. ``make SOURCE FOLDER MUTANT`` does so for a mutant (lab/mutation/make.py). ``lane ...``
keeps a machine for several mutants (lab/mutation/keep.py). All others are commands of
``kvm-conformance``. They end when their parent is gone.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence

import click

from lab.campaign import child
from lab.emulation import arch
from lab.emulation import kernel as kernels
from lab.emulation.errors import KernelError
from lab.launch.exit_codes import Exit
from tools import cli, ending
from tools.screen.terminal import TERMINAL

#: How such a process is started.
PROGRAM = (sys.executable, "-m", "tools.run_child")


def main(arguments: Sequence[str]) -> int:
    """Does one of them; the exit code."""
    child.end_with_the_parent()
    return ending.end_in_order(lambda: _do(*arguments))


def _do(what: str, *rest: str) -> int:
    if what == "find":
        return _told(*find(*rest))
    if what == "make":
        return _told(*importlib.import_module("lab.mutation.make").make(*rest, TERMINAL))
    if what == "lane":
        ended: int = importlib.import_module("lab.mutation.keep").keep(*rest, TERMINAL)
        return ended
    return cli.command([what, *rest])


def find(spec: str, architecture: str = "") -> tuple[int, dict[str, str]]:
    """What the kernel is, fetched where it must be."""
    try:
        foreign = arch.named(architecture) if architecture else None
        kernel = kernels.find(spec, say=TERMINAL.err, foreign=foreign)
        digest = kernels.digest(kernel)
        return Exit.HELD, {"release": kernel.release, "name": kernel.name, "digest": digest}
    except KernelError as error:
        return Exit.SUITE_ERROR, {"error": str(error)}
    except OSError as error:
        text = f"{error.filename or spec} cannot be read: {error.strerror}"
        return Exit.SUITE_ERROR, {"error": text}


def _told(code: int, found: Mapping[str, str]) -> int:
    click.echo(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
