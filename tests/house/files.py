# SPDX-License-Identifier: GPL-2.0-only
"""The project's own files, as the tests of its rules read them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", "build", "results", "__pycache__", "docs"}


def files(*suffixes: str) -> list[Path]:
    """The project's own files with one of these suffixes, but nothing that a tool generated."""

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if (
                    path.name not in NOT_OURS
                    and not path.name.endswith(("_cache", ".egg-info"))
                    and (path.name == ".ci" or not path.name.startswith("."))
                ):
                    yield from walk(path)
            elif path.suffix in suffixes and not re.match(r"_native.*\.(c|so|o)$", path.name):
                yield path

    return list(walk(ROOT))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for path in files(".py"):
        yield path, ast.parse(path.read_text(), filename=str(path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The modules that a module imports, with the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            # `from harness import native` may name a module; so each name is looked at too.
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def room(path: Path) -> str:
    """The top-level package of a file; `conftest` for the one at the top."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")
