# SPDX-License-Identifier: GPL-2.0-only
"""What pyproject.toml cannot say: the native extension, and where everything stands in a wheel.

A checkout has its rooms side by side. A wheel has them below kvm_conformance/tree, as its one
importable name has all of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import setuptools
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

PLACE = Path("kvm_conformance", "tree")
#: Files and folders of the tree: what commands, suites and emulated hosts read.
TREE = (
    *("conftest.py", "pytest.ini", "guest_blobs", "harness", "lab", "mutants"),
    *("setup/programs.txt", "setup/requirements.txt", "suites", "tools"),
)


class Distribution(setuptools.Distribution):
    """Tells top-level names of packages only: the extension's own name is for the tree."""

    def iter_distribution_names(self) -> Iterator[str]:
        """Names of what is importable from outside."""
        yield from self.packages or ()


class BuildPython(build_py):
    """Copies the tree, too; an editable install has that of the checkout."""

    def run(self) -> None:
        """Copy packages, and then the tree."""
        if self.editable_mode:
            super().run()
            return
        # What an earlier build left there would come along.
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for path in tree():
            target = Path(self.build_lib, PLACE, path)
            self.mkpath(str(target.parent))
            self.copy_file(str(path), str(target))


class BuildExtension(build_ext):
    """Moves the extension into the tree, unless it is wanted in its place in the checkout."""

    def run(self) -> None:
        """Build, and then move."""
        super().run()
        if not self.inplace:
            library = Path(self.build_lib)
            for built in list(library.glob("harness/native/_native*.so")):
                built.replace(library / PLACE / built.relative_to(library))
            shutil.rmtree(library / "harness")


def tree() -> Iterator[Path]:
    """The files of the tree, without what Python, a compiler or an editor left there."""
    for name in TREE:
        if not Path(name).is_dir():
            yield Path(name)
        for folder, folders, names in os.walk(name):
            folders[:] = sorted(each for each in folders if each[0] not in "._")
            yield from (
                Path(folder, each)
                for each in sorted(names)
                if each[0] != "." and (each[:7] != "_native" or each.endswith(".pyi"))
            )


setuptools.setup(
    cffi_modules=["harness/native/build.py:ffibuilder"],
    cmdclass={"build_py": BuildPython, "build_ext": BuildExtension},
    distclass=Distribution,
    # The extension keeps to Python's stable interface: one wheel for each Python from 3.10 on.
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
