# SPDX-License-Identifier: GPL-2.0-only
"""``make SOURCE MUTANT``: the modules of one mutant, in a process of its own (tools/run_child.py).

What is found: ``release``, ``name``, ``digest`` and ``modules``; or the sentence ``error`` with the
word ``outcome``.
"""

from __future__ import annotations

from pathlib import Path

from lab.emulation import cache as caches
from lab.emulation.errors import KernelError
from lab.launch.exit_codes import Exit
from lab.launch.speaker import Speaker
from lab.mutation import build, catalogue, patch
from lab.mutation.errors import BuildError, PatchError
from lab.mutation.judge import Fate
from lab.mutation.source import Source

STOCK = "-"  # the mutant without a defect


def make(source_file: str, mutants: str, mutant_id: str, to: Speaker) -> tuple[int, dict[str, str]]:
    """Builds what is not in the cache yet; `mutants` is the catalogue's folder."""
    source = Source.load(Path(source_file))
    outcome = Fate.UNJUDGED
    try:
        changed, difference = {}, ""
        if mutant_id != STOCK:
            mutant = catalogue.read(Path(mutants))[mutant_id]
            patched = patch.apply(mutant, source, build.folder_of(source))
            changed, difference = dict(patched.files), patched.difference
        modules = build.modules(source, changed, difference, say=to.err)
    except KernelError as error:
        if isinstance(error, PatchError):
            outcome = Fate.NOT_APPLIED
        elif isinstance(error, BuildError):
            outcome = Fate.NOT_BUILT
        return Exit.SUITE_ERROR, {"error": str(error), "outcome": outcome.value}
    except OSError as error:
        why = caches.cannot_use(error) or f"{error.filename} cannot be used: {error.strerror}"
        return Exit.SUITE_ERROR, {"error": why, "outcome": outcome.value}
    return Exit.HELD, {
        "release": source.release,
        "name": source.name,
        "digest": f"{source.digest} {modules.name}",
        "modules": str(modules),
    }
