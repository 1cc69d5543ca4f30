# SPDX-License-Identifier: GPL-2.0-only
"""A payload in plain QEMU, with the words of docs/image.md: nothing of the project is outside.

It boots a kernel for real, and only where one is in the cache already: no test fetches 100 MB.
"""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.kvm import arch as known
from harness.reporting import journal
from lab.emulation import arch, cache
from lab.launch.exit_codes import Exit
from lab.payload import systems
from tests.fakes import programs as fake_programs
from tests.house.files import ROOT
from tools.cli import main

CLAIM = "capability"
LIMIT_S = 600  # for a host with ten times the load


def kernel_in_the_cache() -> Path:
    found = sorted(cache.root().glob("debian/kernels/*-arm64_*/boot/vmlinuz-*"))
    if not found or systems.stored(arch.with_board("arm64").board, cache.root()) is None:
        pytest.skip("no_tools: no kernel of arm64 in the cache; `emulate --arch arm64` brings one")
    return found[-1]


def told_command() -> list[str]:
    text = (ROOT / "docs/image.md").read_text(encoding="utf-8")
    block = re.search(r"```\n(qemu-system-aarch64 .*?)\n```", text, re.S)
    assert block
    return shlex.split(block[1].replace("\\\n", " "))


@pytest.mark.skipif(platform.machine() == "aarch64", reason="that is this host's own")
def test_docs_hold_in_plain_qemu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "aarch64" not in known.supported():
        pytest.skip("the suites know no arm64")
    fake_programs.need("qemu-system-aarch64", "clang", "ld.lld")
    (tmp_path / "vmlinuz").symlink_to(kernel_in_the_cache())
    assert main(["image", "--arch", "arm64", "-o", str(tmp_path / "payload.cpio")]) == Exit.HELD
    done = subprocess.run(
        told_command(),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-2000:]
    assert re.search(r"^KTAP version 1\r?\n1\.\.3\r?$", said, re.M), said[-2000:]
    assert re.search(r"^(ok|not ok) \d+ capability\.reported", said, re.M)
    (tmp_path / "console").write_text(said)
    code = main(["image", "--received", f"{tmp_path}/console", "-o", f"{tmp_path}/out"])
    assert code == Exit.HELD
    assert "did not come whole" not in capsys.readouterr().err
    found = journal.read(tmp_path / "out" / journal.NAME)
    assert found.exit_status is not None
    assert {claim.partition(".")[0] for claim in found.planned.values()} == {CLAIM}
