# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance`` as it is installed: finds the tree, and calls its command line.

Python obeys variables before a line of this project runs: where there are some, it is started
again without them. The tree belongs to whoever installed it, often root, so nothing is written
there: what Python compiles goes to the user's cache.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Where harness/, lab/, suites/ and the rest stand: below this folder, or around it in a checkout.
IS_INSTALLED = (HERE / "tree").is_dir()
TREE = HERE / "tree" if IS_INSTALLED else HERE.parent
_SUITE_ERROR = 70  # lab/launch/exit_codes.py may be what is missing


def main() -> int:
    """Run a command; its exit code."""
    _forget_python()
    return _call("tools.cli")


def complete() -> int:
    """``kvm-conformance-complete``: tells a shell what a word can be; an exit code."""
    return _call("tools.completion")


def _forget_python() -> None:
    """Replaces this process by one without Python's variables, where there are some."""
    taken_out = [name for name in os.environ if name.startswith("PYTHON")]
    if taken_out:
        print(f"Not handed on to Python: {' '.join(taken_out)}.", file=sys.stderr, flush=True)
        kept = {name: word for name, word in os.environ.items() if name not in taken_out}
        os.execve(sys.executable, [sys.executable, __file__, *sys.argv[1:]], kept)


def _call(module: str) -> int:
    """A module's ``main()``; 70 and a sentence where a file or a package is missing."""
    # Its first entry is the command's folder or the current one, unless Python was told otherwise.
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]
    sys.path.insert(0, str(TREE))
    # For the version and the list of requirements, which stand beside the package.
    if str(HERE.parent) not in sys.path:
        sys.path.append(str(HERE.parent))
    try:
        if IS_INSTALLED:
            _compile_elsewhere()
        code: int = importlib.import_module(module).main()
    except ImportError as error:
        text = f"kvm-conformance is not whole in {HERE} ({error}): install it again with pip"
        print(f"Error: {text}, and with what it requires.", file=sys.stderr)
        return _SUITE_ERROR
    return code


def _compile_elsewhere() -> None:
    """For this process and all that it starts; nowhere if this user has no cache."""
    sys.dont_write_bytecode = True
    folder = importlib.import_module("lab.emulation.cache").root() / "bytecode"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    else:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


if __name__ == "__main__":
    sys.exit(main())
