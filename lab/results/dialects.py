# SPDX-License-Identifier: GPL-2.0-only
"""How a caller wants to be spoken to by exit code and standard output, as a table: DIALECTS.

Without one, what people read stands on standard output, and the code is one of `Exit`. A caller
that reads codes has meanings of its own for them: what is no verdict for us is a verdict there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.launch.exit_codes import Exit

#: The code of a skip: kselftest.h's KSFT_SKIP, and what autopkgtest takes for `skippable`.
_KSFT_SKIP, _AUTOPKGTEST_SKIP = 4, 77
#: git-bisect(1), "Bisect run": 125 skips a commit, 128 and more end the bisection, others are bad.
_BISECT_SKIP = 125
#: pytest.ExitCode: interrupted, internal error, usage error, nothing collected.
_PYTEST_INTERRUPTED, _PYTEST_INTERNAL, _PYTEST_USAGE, _PYTEST_NOTHING = 2, 3, 4, 5


@dataclass(frozen=True)
class Dialect:
    """One of them.

    `codes` are what takes the place of ours; a code that is not there is `otherwise`, or stays as
    it is where that is None. `format` is what the caller reads of the results (FORMATS), empty for
    nothing; on standard output, or in `file` below the folder that the variable `folder` names.
    What is for people then goes to standard error.
    """

    taken_by: str
    codes: Mapping[int, int]
    otherwise: int | None = None
    format: str = ""
    folder: str = ""
    file: str = ""

    def code(self, ours: int) -> int:
        """What the caller takes for what we mean."""
        return self.codes.get(ours, ours if self.otherwise is None else self.otherwise)

    @property
    def on_standard_output(self) -> bool:
        """Whether the results stand there, and nothing else."""
        return bool(self.format and not self.file)


_AS_THEY_ARE: Mapping[int, int] = {Exit.HELD: 0, Exit.FAILED: 1}
_STOPPED = (Exit.SIGINT, Exit.SIGTERM)

DIALECTS: Mapping[str, Dialect] = {
    "kselftest": Dialect(
        "run_kselftest.sh",
        {**_AS_THEY_ARE, Exit.NOTHING_TESTED: _KSFT_SKIP},
        otherwise=1,
        format="kselftest",
    ),
    "autopkgtest": Dialect("autopkgtest", {Exit.NOTHING_TESTED: _AUTOPKGTEST_SKIP}),
    # Of `result: custom` tmt reads the results, and says error where there are none.
    "tmt": Dialect(
        "tmt, result: custom", {}, format="tmt", folder="TMT_TEST_DATA", file="results.json"
    ),
    # lava-test-shell runs its steps by `set -e`: once told, a failure is no reason to break off.
    "lava": Dialect(
        "lava-test-shell",
        dict.fromkeys((Exit.HELD, Exit.FAILED, Exit.NOTHING_TESTED), 0),
        format="lava-signals",
    ),
    "bisect": Dialect(
        "git bisect run",
        {**_AS_THEY_ARE, **{code: int(code) for code in _STOPPED}},
        otherwise=_BISECT_SKIP,
    ),
    "pytest": Dialect(
        "callers of pytest",
        {
            **_AS_THEY_ARE,
            Exit.NOTHING_TESTED: _PYTEST_NOTHING,
            Exit.USAGE: _PYTEST_USAGE,
            **dict.fromkeys(_STOPPED, _PYTEST_INTERRUPTED),
        },
        otherwise=_PYTEST_INTERNAL,
    ),
}
