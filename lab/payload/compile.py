# SPDX-License-Identifier: GPL-2.0-only
"""Bytecode of a payload: run by a Python of its release, with nothing of the project importable.

    compile.py LIST FOLDER PACKAGES

LIST has a line a file, KIND, SOURCE and NAME between tabs: its place here, and in the payload. Line
N becomes FOLDER/N. KIND is `plain`, or `tests` for what pytest rewrites as it imports it, and
PACKAGES has pytest. What cannot be compiled is left out: the payload's own Python tells then.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import sys
from importlib import _bootstrap_external
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def plain(source: Path, name: str) -> bytes:
    """Bytecode that stands for its source without a look at it: the payload is read-only."""
    data = source.read_bytes()
    code = compile(data, name, "exec", dont_inherit=True, optimize=0)
    external: Any = _bootstrap_external
    return bytes(external._code_to_hash_pyc(code, importlib.util.source_hash(data), False))


def rewritten(source: Path, name: str) -> bytes:
    """What pytest keeps of a file with assertions; it holds that against the source's hash."""
    from _pytest.assertion import rewrite  # of the payload's packages

    data = source.read_bytes()
    tree = ast.parse(data, filename=name)
    config: Any = SimpleNamespace(getini=lambda _: False)
    rewrite.rewrite_asserts(tree, data, name, config)
    made = io.BytesIO()
    code = compile(tree, name, "exec", dont_inherit=True)
    rewrite._write_pyc_fp(made, importlib.util.source_hash(data), code)
    return made.getvalue()


def main(listed: str, folder: str, packages: str) -> None:
    """Compiles each line of the list."""
    sys.path.append(packages)
    for number, line in enumerate(Path(listed).read_text(encoding="utf-8").splitlines()):
        kind, source, name = line.split("\t")
        with contextlib.suppress(SyntaxError, ValueError):
            made = (rewritten if kind == "tests" else plain)(Path(source), name)
            Path(folder, str(number)).write_bytes(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
