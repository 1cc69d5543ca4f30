# SPDX-License-Identifier: GPL-2.0-only
"""What the host is and what stands in the way, on hosts made up for the purpose."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from harness.host import arch, description, features, leftovers, obstacles, pace
from harness.host.obstacles import preflight
from harness.kvm.abi import KvmError
from harness.kvm.run import Bounds
from harness.reporting import environment, verdict_text


class FakeSystem:
    """A /dev/kvm that answers as told."""

    def __init__(self, version: int = 12, vm: int | None = None) -> None:
        self.version, self.vm, self.closed = version, vm, False

    def api_version(self) -> int:
        return self.version

    def create_vm_raw(self) -> int:
        return os.open(os.devnull, os.O_RDONLY) if self.vm is None else self.vm

    def close(self) -> None:
        self.closed = True


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    return path


def fails_with(number: int):
    def opener(path: Path) -> FakeSystem:
        raise OSError(number, os.strerror(number), str(path))

    return opener


# ---- obstacles


def test_a_working_device_is_no_obstacle(device: Path) -> None:
    system = FakeSystem()
    before = open_descriptors()
    assert preflight(device, lambda _: system) is None
    assert system.closed
    assert open_descriptors() == before, "the trial VM stays open"


def test_no_device(tmp_path: Path) -> None:
    found = preflight(tmp_path / "kvm")
    assert found is not None
    assert found.token == "no_kvm"
    assert str(tmp_path / "kvm") in found.sentence
    assert "modprobe kvm_intel" in found.advice


NAME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def forbidden(device: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The advice to a user who is not root, for a device of the group `virtualizers`."""

    def advice(*, mode: int = 0o660, database: bool, session: bool, sudo: bool = True) -> str:
        device.chmod(mode)
        group = device.stat().st_gid
        monkeypatch.setattr(obstacles, "_group_name", lambda _: "virtualizers")
        monkeypatch.setattr(obstacles, "_owned_by_a_group", lambda _: mode == 0o660)
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setattr(os, "getegid", lambda: group + 1)
        monkeypatch.setattr(os, "getgroups", lambda: [group] * session)
        monkeypatch.setattr(
            os, "getgrouplist", lambda name, _: [group] * (database and name == NAME)
        )
        monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/sudo" if sudo else None)
        found = preflight(device, fails_with(errno.EACCES))
        assert found is not None
        assert found.token == "no_permission"
        return found.advice

    return advice


def test_no_permission_names_the_group(forbidden: Callable[..., str]) -> None:
    said = forbidden(database=False, session=False)
    assert said == (
        f"Join the group virtualizers: `sudo usermod -aG virtualizers {NAME}`, then log in again."
    )


def test_no_permission_and_no_sudo(forbidden: Callable[..., str]) -> None:
    said = forbidden(database=False, session=False, sudo=False)
    assert f"as root, type: `usermod -aG virtualizers {NAME}`" in said
    assert "sudo" not in said


def test_a_session_from_before_the_user_joined(forbidden: Callable[..., str]) -> None:
    said = forbidden(database=True, session=False)
    assert "log in again, or type `newgrp virtualizers`" in said
    assert "usermod" not in said


def test_no_permission_for_a_member_of_the_group(forbidden: Callable[..., str]) -> None:
    said = forbidden(database=True, session=True)
    assert "a container" in said
    assert "usermod" not in said
    assert "log in" not in said


@pytest.mark.parametrize("sudo", [True, False], ids=["sudo", "no_sudo"])
def test_no_permission_and_no_group_that_helps(
    device: Path, forbidden: Callable[..., str], sudo: bool
) -> None:
    said = forbidden(mode=0o600, database=True, session=True, sudo=sudo)
    assert "mode 600" in said
    plain = f"chgrp kvm {device} && chmod 660 {device} && usermod -aG kvm {NAME}"
    with_sudo = f"sudo {plain.replace('&& ', '&& sudo ')}"
    assert f": `{with_sudo if sudo else plain}`, then" in said.replace("as root, type: ", "")
    assert ("as root, type: " in said) is not sudo


@pytest.mark.parametrize(
    ("number", "token"),
    [
        (errno.EBUSY, "kvm_busy"),
        (errno.ENODEV, "no_kvm"),
        (errno.ENXIO, "no_kvm"),
        (errno.EIO, "no_kvm"),
    ],
    ids=["busy", "no_device", "no_address", "input_output"],
)
def test_open_errors(device: Path, number: int, token: str) -> None:
    found = preflight(device, fails_with(number))
    assert found is not None
    assert found.token == token


def test_another_hypervisor_holds_the_processor(device: Path) -> None:
    found = preflight(device, lambda _: FakeSystem(vm=-errno.EBUSY))
    assert found is not None
    assert found.token == "kvm_busy"
    assert "Another hypervisor" in found.sentence


def test_a_vm_that_cannot_be_made(device: Path) -> None:
    found = preflight(device, lambda _: FakeSystem(vm=-errno.EIO))
    assert found is not None
    assert found.token == "no_vm"
    assert "Input/output error" in found.sentence


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_want_of_memory_or_descriptors_is_no_obstacle(device: Path, number: int) -> None:
    """It may pass, and a skip for it would hide what was not tested: the tests meet it."""
    assert preflight(device, fails_with(number)) is None
    assert preflight(device, lambda _: FakeSystem(vm=-number)) is None
    silent = FakeSystem()
    silent.api_version = MagicMock(side_effect=KvmError("KVM_GET_API_VERSION", number))
    assert preflight(device, lambda _: silent) is None
    assert silent.closed


def test_wrong_api_version(device: Path) -> None:
    system = FakeSystem(version=11)
    found = preflight(device, lambda _: system)
    assert found is not None
    assert found.token == "wrong_api"
    assert "version 11, not 12" in found.sentence
    assert system.closed


def test_a_device_that_is_no_kvm() -> None:
    found = preflight(Path(os.devnull))
    assert found is not None
    assert found.token == "no_kvm"
    assert "is not a KVM device" in found.sentence


def test_an_architecture_without_a_module(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "alpha")
    found = preflight(device, lambda _: FakeSystem())
    assert found is not None
    assert found.token == "other_architecture"
    assert "This machine is alpha" in found.sentence


def test_every_obstacle_is_a_known_word() -> None:
    words = {"no_kvm", "no_permission", "kvm_busy", "wrong_api", "no_vm", "other_architecture"}
    assert words <= set(features.REASONS)
    assert words - {"other_architecture"} == features.OF_THE_WHOLE_HOST


# ---- description


def test_backend_names_the_holders_of_kvm(tmp_path: Path) -> None:
    (tmp_path / "module/kvm/holders/kvm_amd").mkdir(parents=True)
    assert description.backend(tmp_path) == "kvm_amd"


def test_backend_without_modules(tmp_path: Path) -> None:
    assert description.backend(tmp_path) == "none"
    (tmp_path / "module/kvm").mkdir(parents=True)
    assert description.backend(tmp_path) == "built in"


def test_virtualization(tmp_path: Path) -> None:
    assert description.virtualization("flags : fpu vme", tmp_path, tmp_path) == "none"
    under = description.virtualization("flags : fpu hypervisor vme", tmp_path, tmp_path)
    assert under == "a hypervisor"
    (tmp_path / "class/dmi/id").mkdir(parents=True)
    (tmp_path / "class/dmi/id/sys_vendor").write_text("QEMU\n")
    assert description.virtualization("flags : fpu hypervisor", tmp_path, tmp_path) == "QEMU"


def test_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVM_CONFORMANCE_TIER", raising=False)
    assert description.tier("model name : Intel(R) Xeon(R)") == "hardware"
    assert description.tier("model name : QEMU TCG CPU version 2.5+") == "emulated"
    monkeypatch.setenv("KVM_CONFORMANCE_TIER", "emulated-instruction-clock")
    assert description.tier("model name : QEMU TCG") == "emulated-instruction-clock"
    monkeypatch.setenv("KVM_CONFORMANCE_TIER", "nonsense")
    assert description.tier("model name : AMD EPYC") == "hardware"


@pytest.mark.parametrize(
    ("environment", "factor", "patience_s", "count", "least"),
    [
        ({}, 1, 10, 200, 100),
        ({"KSFT_MACHINE_SLOW": "no"}, 1, 10, 200, 100),
        ({"KSFT_MACHINE_SLOW": "Yes"}, 10, 20, 30, 100),
        ({"KVM_CONFORMANCE_TIER": "emulated"}, 1, 10, 200, 2),
        ({"KSFT_MACHINE_SLOW": "1", "KVM_CONFORMANCE_TIER": "emulated"}, 10, 20, 30, 2),
    ],
    ids=["usual", "no", "slow", "emulated", "both"],
)
def test_pace(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    factor: int,
    patience_s: int,
    count: int,
    least: int,
) -> None:
    for name in ("KSFT_MACHINE_SLOW", "KVM_CONFORMANCE_TIER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(description, "cpuinfo", lambda: "model name : AMD EPYC")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    here = pace.here.__wrapped__()
    assert here.stretched(7) == 7 * factor
    assert here.patience(10) == patience_s
    assert here.choose(usual=200, slow=30) == count
    assert here.meetings(100) == least
    monkeypatch.setattr(pace, "here", lambda: here)
    assert Bounds().patience_s == patience_s


def test_emulator_is_named_in_place_of_what_this_host_runs_under(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = "QEMU 7.2.22, 2 CPUs in turn, 2G"
    for value, known in (("", None), (told, told)):
        monkeypatch.setenv("KVM_CONFORMANCE_EMULATOR", value)
        host = description.describe.__wrapped__()
        assert host.emulator == known
        assert ("emulator" in host.properties()) == bool(known)
        assert (f", emulated by {told}, tier" in host.headline()) == bool(known)
        host = environment.flatten(host)
        assert ("emulator" in host) == bool(known)
        assert (f"emulated by {told}" in verdict_text.host_line(host)) == bool(known)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor : 0\nmodel name\t: AMD EPYC 7B13\n", "AMD EPYC 7B13"),
        ("processor : 0\ncpu\t\t: POWER9\n", "POWER9"),
        ("hart : 0\nuarch\t: sifive,u74-mc\n", "sifive,u74-mc"),
        ("", "unknown"),
    ],
    ids=["x86", "power", "riscv", "nothing"],
)
def test_cpu_model(text: str, model: str) -> None:
    assert description.cpu_model(text) == model


# ---- leftovers


def test_nothing_left() -> None:
    before = leftovers.take_stock()
    assert leftovers.left_behind_since(before) == []


def test_a_descriptor_is_found() -> None:
    before = leftovers.take_stock()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        found = leftovers.left_behind_since(before, patience_s=0)
    finally:
        os.close(descriptor)
    assert found == [f"descriptor {descriptor} (/dev/null)"]


def test_a_thread_is_found_and_one_that_ends_is_waited_for() -> None:
    before = leftovers.take_stock()
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    found = leftovers.left_behind_since(before, patience_s=0)
    end.set()
    assert leftovers.left_behind_since(before) == []
    thread.join()
    assert [line.split()[0] for line in found] == ["thread"]


def test_a_signal_mask_is_found() -> None:
    import signal

    before = leftovers.take_stock()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        found = leftovers.left_behind_since(before, patience_s=0)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    assert len(found) == 1
    assert found[0].startswith("SigBlk ")


def test_a_process_is_found() -> None:
    before = leftovers.take_stock()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        found = leftovers.left_behind_since(before, patience_s=0)
    assert f"process {child.pid}" in found
    assert leftovers.left_behind_since(before) == []


def test_a_reason_has_its_prose_and_unknown_words_are_refused() -> None:
    assert features.reason("no_dirty_ring").startswith("no_dirty_ring: this KVM has no dirty ring")
    with pytest.raises(KeyError):
        features.reason("no_such_word")


def test_what_one_architecture_can_lack_is_known_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report may come from another machine. No word is said twice."""
    own = [word for words in arch.known().values() for word in words.lacking]
    assert "no_smm" in own
    assert len(features.REASONS) == len(features._OF_ALL) + len(own)
    monkeypatch.setattr("platform.machine", lambda: "alpha")
    assert arch.here().loading == "Load the module for this processor"
    assert arch.here().lacking == {}


def test_every_skip_word_is_explained_with_what_to_do() -> None:
    text = (Path(__file__).parents[3] / "docs/skip-words.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    explained = {row[0].strip("| `"): row for row in rows}
    assert set(explained) == set(features.REASONS)
    assert len(rows) == len(features.REASONS)
    assert all(len(row) == 3 and row[2].strip("| ") for row in rows)
