# SPDX-License-Identifier: GPL-2.0-only
"""tools/bootstrap.sh --emulation: what emulated hosts take."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import programs as fake_programs
from tests.fakes.checkout import (
    APT_GET,
    COMPILER,
    EMULATION,
    MUTANTS,
    SUDO,
    Project,
    built_again,
    checkout,
    made_anew,
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield from checkout(tmp_path)


@pytest.mark.parametrize("option", ["--emulation", "--dev"])
def test_what_emulated_hosts_take_is_named(project: Project, option: str) -> None:
    for tool in fake_programs.packages(*fake_programs.DEV):
        project.command(tool, COMPILER)
    code, said = project.run(option, "--no-apt")
    assert code == 70
    named = said.split("apt-get install -y ")[1].split("\n")[0].split()
    assert named == missing_packages()
    assert project.run("--no-apt")[0] == 0


def test_what_mutants_take_is_named_and_looked_for(project: Project) -> None:
    for tool in (*EMULATION, *MUTANTS):
        project.command(tool, COMPILER)
    project.command("ldconfig", "#!/bin/bash\necho '\tlibelf.so.1 (libc6) => /lib/libelf.so.1'\n")
    assert project.run("--mutants")[0] == 0
    assert project.run("--mutants") == (0, "")
    lacking = [name for name in MUTANTS if not on_every_path(name)]
    for tool in MUTANTS:
        (project.bin / tool).unlink()
    (project.bin / "qemu-system-x86_64").unlink()
    project.command("ldconfig", "#!/bin/bash\n")
    code, said = project.run("--mutants", "--no-apt")
    assert code == 70
    named = said.split("apt-get install -y ")[1].split("\n")[0].split()
    wanted = ["qemu-system-x86", *(MUTANTS[name] for name in lacking), "libelf1"]
    assert sorted(named) == sorted(dict.fromkeys(wanted))
    assert project.run() == (0, ""), "nobody else needs them"


def missing_packages() -> list[str]:
    """The packages of EMULATION that this host lacks as the set-up looks for them."""
    lacking = (package for name, package in EMULATION.items() if not on_every_path(name))
    return list(dict.fromkeys(lacking))


def on_every_path(name: str) -> bool:
    """Whether a program stands in sbin, where it is found without PATH."""
    return shutil.which(name, path="/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd") is not None


def test_what_emulated_hosts_take_is_looked_for_each_time(project: Project) -> None:
    for tool in EMULATION:
        project.command(tool, COMPILER)
    assert project.run("--emulation")[0] == 0
    assert project.run("--emulation") == (0, "")
    (project.bin / "qemu-system-x86_64").unlink()
    assert project.run() == (0, "")
    code, said = project.run("--emulation", "--no-apt")
    assert code == 70
    assert "missing on this host: qemu-system-x86_64\n" in said
    assert "apt-get install -y qemu-system-x86\n" in said
    assert project.run() == (0, ""), "the set-up that was there still serves"


def test_busybox_that_needs_libraries_does_not_serve(project: Project) -> None:
    for tool in EMULATION:
        project.command(tool, COMPILER)
    project.command("ldd", "#!/bin/bash\necho '  libc.so.6 => /lib/libc.so.6 (0x0)'\n")
    code, said = project.run("--emulation", "--no-apt")
    assert code == 70
    assert "missing on this host: a static busybox\n" in said
    assert "apt-get install -y busybox-static\n" in said


@pytest.mark.skipif(
    not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists(),
    reason="no_tools: where there is apt, the keys of Debian's archive are wanted",
)
def test_apt_installs_what_emulated_hosts_take_into_a_ready_environment(project: Project) -> None:
    for tool in EMULATION:
        project.command(tool, COMPILER)
    assert project.run("--emulation", "--no-apt")[0] == 0
    project.calls()
    (project.bin / "qemu-system-x86_64").unlink()
    project.command("apt-get", APT_GET.replace("/cc", "/qemu-system-x86_64"))
    project.command("sudo", SUDO)
    code, said = project.run("--emulation")
    assert code == 0, said
    calls = project.calls()
    assert next(call for call in calls if call.startswith("apt-get")).endswith(" qemu-system-x86")
    assert not made_anew(calls)
    assert not built_again(calls)
