# SPDX-License-Identifier: GPL-2.0-only
"""tools/bootstrap.sh in a small project, with stand-ins for Python, compiler and apt-get.

CI and `make` try the real thing.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import programs as fake_programs
from tests.fakes.checkout import (
    APT_GET,
    BROKEN_SHIM,
    COMPILER,
    EMULATION,
    PYTHON,
    SUDO,
    Project,
    built_again,
    checkout,
    made_anew,
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield from checkout(tmp_path)


def test_first_set_up_installs_by_hashes(project: Project) -> None:
    code, said = project.run()
    assert code == 0, said
    assert project.is_ready
    installs = [call for call in project.calls() if " -m pip install " in call]
    packages, checkout_itself = installs
    assert packages.endswith("--require-hashes -r setup/requirements.txt")
    assert checkout_itself.endswith("--no-build-isolation --no-deps -e .")


def test_packages_from_elsewhere_are_told(project: Project) -> None:
    settings = """global.cert='/etc/ssl/ca.crt'
:env:.index-url='https://somebody:secret@mirror.example/simple'
global.find-links='/opt/\x1b[2Jwheels'"""
    code, said = project.run(PIP_SETTINGS=settings)
    assert code == 0, said
    (told,) = [line for line in said.splitlines() if "come not only from pypi.org" in line]
    assert "index-url='https://mirror.example/simple'" in told
    assert "find-links='/opt/[2Jwheels'" in told
    assert "secret" not in said
    assert "ca.crt" not in said


@pytest.mark.parametrize("name", ['a"b', "a'b", "a$(touch made)b", "a`touch made`", "a\nb", "a\\b"])
def test_a_path_that_a_shell_would_obey_is_refused(project: Project, name: str) -> None:
    project.root = project.root.rename(project.root.with_name(name))
    code, said = project.run()
    assert code == 70, said
    assert "move the checkout" in said
    assert project.calls() == []
    assert not list(project.root.parent.glob("**/made"))


def test_a_path_with_blanks_is_none_of_these(project: Project) -> None:
    project.root = project.root.rename(project.root.with_name("a checkout (new), of #2 & more"))
    code, said = project.run()
    assert code == 0, said
    assert project.is_ready
    project.calls()
    subprocess.run(
        [project.root / ".venv/bin/kvm-conformance", "run", "two words"],
        env=project.environment,
        check=True,
    )
    assert project.calls() == [
        "python -I -c import runpy, tools.cli; bytearray(1 << 24)",
        "python -I -m tools.cli run two words",
    ]


def test_no_variable_of_python_reaches_the_set_up(project: Project) -> None:
    """But PYTHON itself, which chooses one."""
    lines = PYTHON.splitlines(keepends=True)
    lines.insert(1, "for name in ${!PYTHON@}; do [[ $name == PYTHON ]] || exit 1; done\n")
    project.command("python3", "".join(lines))
    code, said = project.run(PYTHONHOME="/nowhere", PYTHONHASHSEED="x", PYTHON="python3")
    assert code == 0, said


def test_second_set_up_starts_no_python_and_says_nothing(project: Project) -> None:
    project.run()
    project.calls()
    times = []
    for _ in range(3):
        started = time.monotonic()
        assert project.run() == (0, "")
        times.append(time.monotonic() - started)
    assert project.calls() == []
    assert min(times) < 0.3


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "setup.py", "setup/requirements.txt", "setup/commands.sh"]
)
def test_changed_packages_make_it_anew(project: Project, name: str) -> None:
    project.run()
    project.calls()
    with (project.root / name).open("a") as file:
        file.write("# changed\n")
    assert project.run()[0] == 0
    assert made_anew(project.calls())
    assert project.run() == (0, "")


@pytest.mark.parametrize("change", ["source", "new_source", "kernel_header", "extension_lost"])
def test_changed_c_builds_only_the_extension(project: Project, change: str) -> None:
    project.run()
    project.calls()
    native = project.root / "harness" / "native"
    if change == "source":
        (native / "run.c").write_text("/* 2 */\n")
    elif change == "new_source":
        (native / "kick.c").write_text("/* 1 */\n")
    elif change == "kernel_header":
        project.header.write_text("/* 2 */\n")
    else:
        (native / "_native.abi3.so").unlink()
    assert project.run()[0] == 0
    assert built_again(project.calls())
    assert project.run() == (0, "")


def test_moved_checkout_is_set_up_anew(project: Project) -> None:
    project.run()
    project.calls()
    project.root = project.root.rename(project.root.with_name("moved"))
    assert project.run()[0] == 0
    assert made_anew(project.calls())
    assert project.run() == (0, "")


@pytest.mark.parametrize(
    ("option", "extra"),
    [("--emulation", "emulate"), ("--plot", "plot"), ("--test", "test"), ("--dev", "dev")],
)
def test_an_extra_is_added_and_then_kept(project: Project, option: str, extra: str) -> None:
    for tool in (*fake_programs.packages(*fake_programs.DEV), *EMULATION):
        project.command(tool, COMPILER)
    project.run()
    project.calls()
    assert project.run(option)[0] == 0
    calls = project.calls()
    (install,) = [call for call in calls if " -m pip install " in call]
    assert install.endswith(f"--require-hashes -r setup/requirements-{extra}.txt")
    assert not made_anew(calls)
    assert project.run() == (0, "")
    assert project.run(option) == (0, "")
    (project.root / "harness" / "native" / "run.c").write_text("/* 2 */\n")
    assert project.run()[0] == 0
    assert built_again(project.calls())
    assert project.run(option) == (0, "")
    (project.root / "setup" / "requirements.txt").write_text("# changed\n")
    assert project.run()[0] == 0
    calls = project.calls()
    assert made_anew(calls)
    assert any(call.endswith(f"-r setup/requirements-{extra}.txt") for call in calls)


def test_each_extra_has_the_one_before_it(project: Project) -> None:
    assert project.run("--test")[0] == 0
    assert project.run("--plot") == (0, "")
    project.calls()
    (project.root / "pyproject.toml").write_text("# changed\n")
    assert project.run("--plot")[0] == 0
    assert any(call.endswith("-r setup/requirements-test.txt") for call in project.calls())


def test_an_extra_that_cannot_be_had_leaves_the_rest_ready(project: Project) -> None:
    project.run()
    project.calls()
    code, said = project.run("--plot", PIP_SAYS="NewConnectionError: Network is unreachable")
    assert code == 70
    assert "no network" in said
    assert project.run() == (0, "")
    assert project.run("--plot")[0] == 0
    assert not made_anew(project.calls())


@pytest.mark.parametrize("line", ["dev 1", "extras 9", "extras a[$(touch made)]", ""])
def test_a_stamp_that_says_something_else_is_none(project: Project, line: str) -> None:
    """That of an older set-up, say."""
    project.run()
    project.calls()
    stamp = project.root / ".venv" / ".packages"
    stamp.write_text(stamp.read_text().replace("extras 0", line))
    assert project.run()[0] == 0
    assert made_anew(project.calls())
    assert not (project.root / "made").exists()


def test_other_python_makes_it_anew(project: Project) -> None:
    project.run()
    project.calls()
    project.command("mypython", PYTHON)
    assert project.run(PYTHON="mypython")[0] == 0
    assert made_anew(project.calls())
    assert project.run(PYTHON="mypython") == (0, "")
    assert project.run() == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"])
def test_interrupted_set_up_is_not_ready(project: Project, number: signal.Signals) -> None:
    process = project.start(PIP_TAKES="30")
    deadline = time.monotonic() + 20
    while not Path(project.environment["PIP_STARTED"]).exists():
        assert time.monotonic() < deadline, "pip was not called"
        time.sleep(0.01)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "the next call sets up again" in said
    assert not project.is_ready
    project.calls()
    assert project.run()[0] == 0
    assert made_anew(project.calls())
    assert project.is_ready


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["sigterm", "sigkill"])
def test_a_step_that_takes_long_gives_signs_that_end_with_it(
    project: Project, number: signal.Signals
) -> None:
    process = project.start(PIP_TAKES="30", KVM_CONFORMANCE_SIGNS_EVERY="0.1")
    assert process.stdout
    for line in process.stdout:
        if line.endswith(" (Collecting cffi)\n"):
            break
    doing = r"set-up: \.\.\. \d+ s: installing the packages of setup/requirements\.txt \("
    assert re.match(doing, line), line
    process.send_signal(number)
    # Standard output ends only when nobody holds it any more.
    process.communicate(timeout=20)
    for left in Path(project.environment["TMPDIR"]).glob("kvm-conformance-setup.*"):
        left.unlink()


def test_apt_that_takes_long_gives_signs(project: Project) -> None:
    (project.bin / "cc").unlink()
    os.mkfifo(project.bin.parent / "go")
    project.command(
        "apt-get", APT_GET.replace("/bin/cp", f"read <{project.bin.parent}/go\n/bin/cp")
    )
    project.command("sudo", SUDO)
    process = project.start(KVM_CONFORMANCE_SIGNS_EVERY="0.1")
    assert process.stdout
    # On a busy host there may be one of an earlier step before.
    sign = next(line for line in process.stdout if "s: installing the Debian packages gcc" in line)
    assert "set-up: ... " in sign
    assert "KVM_CONFORMANCE_NO_APT=1 forbids it" in sign
    (project.bin.parent / "go").write_text("\n")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_interrupted_build_keeps_the_packages_but_is_not_ready(project: Project) -> None:
    project.run()
    (project.root / "harness" / "native" / "run.c").write_text("/* 2 */\n")
    code, _ = project.run(PIP_SAYS="native.c:3:1: error: expected ';'")
    assert code == 70
    assert not project.is_ready
    project.calls()
    assert project.run()[0] == 0
    assert built_again(project.calls())


def test_two_at_once_set_up_once(project: Project) -> None:
    processes = [project.start(PIP_TAKES="0.3") for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sum(call.startswith("python -m venv") for call in project.calls()) == 1
    assert sum("waiting for it" in text for text in said) == 1


def test_no_compiler_says_what_to_type(project: Project) -> None:
    (project.bin / "cc").unlink()
    code, said = project.run("--no-apt")
    assert code == 70
    assert "missing on this host: a C compiler (cc, gcc or clang)" in said
    assert "apt-get install -y gcc libc6-dev linux-libc-dev" in said
    assert not (project.root / ".venv").exists()
    assert project.run(KVM_CONFORMANCE_NO_APT="1") == (code, said)


@pytest.mark.parametrize("has_sudo", [True, False], ids=["sudo", "no_sudo"])
def test_what_to_type_fits_the_user(project: Project, has_sudo: bool) -> None:
    """Root has to type no sudo, and others only where there is one."""
    (project.bin / "cc").unlink()
    if has_sudo:
        project.command("sudo", SUDO)
    _, said = project.run("--no-apt")
    uses_sudo = has_sudo and os.geteuid() != 0
    command = "apt-get update && apt-get install -y gcc"
    if uses_sudo:
        command = f"sudo {command.replace('&& ', '&& sudo ')}"
    assert f"    {command} " in said
    assert ("type this as root, then" in said) is not uses_sudo


def test_no_kernel_header_says_what_to_type(project: Project) -> None:
    project.command("cc", "#!/bin/bash\nexit 0\n")
    code, said = project.run("--no-apt")
    assert code == 70
    assert "linux/kvm.h" in said
    assert "apt-get install -y linux-libc-dev\n" in said


def test_missing_guest_program_tools_matter_only_to_dev(project: Project) -> None:
    for tool in EMULATION:
        project.command(tool, COMPILER)
    code, said = project.run("--dev", "--no-apt")
    assert code == 70
    wanted = " ".join(dict.fromkeys(fake_programs.packages(*fake_programs.DEV).values()))
    assert f"apt-get install -y {wanted}\n" in said
    assert project.run("--no-apt")[0] == 0


@pytest.mark.parametrize("lists", ["new", "old"])
def test_apt_installs_the_compiler(project: Project, lists: str) -> None:
    (project.bin / "cc").unlink()
    project.command("apt-get", APT_GET)
    project.command("sudo", SUDO)
    code, said = project.run(LISTS_ARE_OLD="1" if lists == "old" else "")
    assert code == 0, said
    calls = [call for call in project.calls() if call.startswith("apt-get")]
    assert all(" -y " in call for call in calls)
    verbs = ["update" if call.endswith(" update") else "install" for call in calls]
    assert verbs == (["install", "update", "install"] if lists == "old" else ["install"])
    assert calls[0].endswith(" gcc libc6-dev linux-libc-dev")


def test_apt_that_fails_says_what_to_type(project: Project) -> None:
    (project.bin / "cc").unlink()
    project.command("apt-get", "#!/bin/bash\necho 'E: Unable to locate package gcc'\nexit 100\n")
    project.command("sudo", SUDO)
    code, said = project.run()
    assert code == 70
    assert "E: Unable to locate package gcc" in said
    assert "a C compiler" in said


def test_python_that_only_pretends_is_passed_over(project: Project) -> None:
    project.command("python3", BROKEN_SHIM)
    project.command("python3.14", BROKEN_SHIM)
    project.command("python3.13", PYTHON)
    code, said = project.run()
    assert code == 0, said
    assert made_anew(project.calls())


@pytest.mark.parametrize("name", ["nowhere", "shim"])
def test_python_asked_for_has_to_run(project: Project, name: str) -> None:
    project.command("shim", BROKEN_SHIM)
    code, said = project.run(PYTHON=name)
    assert code == 70
    assert f"PYTHON={name} is no Python 3.10 or later that runs" in said


def test_compiler_asked_for_has_to_work(project: Project) -> None:
    code, said = project.run(CC="nowhere")
    assert code == 70
    assert "CC=nowhere is no C compiler that works" in said


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("[Errno -3] Temporary failure in name resolution", "no network"),
        ("NewConnectionError: Network is unreachable", "no network"),
        ("ERROR: No matching distribution found for cffi", "or there is no network"),
        ("native.c:3:1: error: expected ';'", "could not build harness/native"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("something else", "pip could not install"),
    ],
    ids=["no_name", "unreachable", "no_version", "compiler", "disk", "other"],
)
def test_pip_that_fails_is_explained(project: Project, log: str, sentence: str) -> None:
    code, said = project.run(PIP_SAYS=log)
    assert code == 70
    assert f"    | {log}" in said
    assert sentence in said
    assert not project.is_ready


def test_foreign_checkout_is_refused(project: Project) -> None:
    if os.geteuid() == 0:
        pytest.skip("no_permission: root may write everywhere")
    project.root.chmod(0o555)
    try:
        code, said = project.run()
    finally:
        project.root.chmod(0o755)
    assert code == 70
    assert "cannot write to" in said


@pytest.mark.parametrize("number", ["0", "-1", "soon"])
def test_interval_that_is_none_is_wrong_usage(project: Project, number: str) -> None:
    code, said = project.run(KVM_CONFORMANCE_SIGNS_EVERY=number)
    assert code == 64
    assert f"KVM_CONFORMANCE_SIGNS_EVERY={number} is no number of seconds" in said


def test_unknown_option_is_wrong_usage(project: Project) -> None:
    code, said = project.run("--fast")
    assert code == 64
    assert "unknown option '--fast'" in said


def test_an_empty_environment_gets_a_path(project: Project) -> None:
    """gcc looks for its assembler in PATH, which bash sets, and does not export, by itself."""
    project.command(
        "cc",
        "#!/bin/bash\n/usr/bin/printenv PATH >/dev/null || exit 1\n" + COMPILER.split("\n", 1)[1],
    )
    bash = Path("/bin/bash")
    path, project.environment["BASH_ENV"] = project.environment.pop("PATH"), str(project.root / "e")
    (project.root / "e").write_text(f"PATH={path}\n")
    project.root.joinpath("tools/bootstrap.sh").write_text(
        project.root.joinpath("tools/bootstrap.sh")
        .read_text()
        .replace("/usr/bin/env bash", str(bash))
    )
    code, said = project.run()
    assert code == 0, said
