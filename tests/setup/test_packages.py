# SPDX-License-Identifier: GPL-2.0-only
"""What pip installs: one importable name, with all that a run needs; and the archive of sources."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Neither this checkout nor its variables.
CLEAN = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def built(source: Path, kind: str, folder: Path) -> Path:
    """A `wheel` or an `sdist`, by the hooks that pip calls; no network, no isolation."""
    folder.mkdir()
    code = "import setuptools.build_meta as b, sys; print(getattr(b, sys.argv[1])(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", code, f"build_{kind}", str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / done.stdout.splitlines()[-1]


def versioned() -> list[str]:
    """The files of this checkout under version control, and new ones that it does not ignore."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no_tools: only git knows which files are the project's")
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def copied(folder: Path) -> Path:
    """A copy of this checkout, with what one has besides, and no package may."""
    for name in versioned():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for name in ("results/latest/journal.jsonl", "suites/__pycache__/x.pyc", "lab/.x.swp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@contextlib.contextmanager
def shared_folder(factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all workers of pytest-xdist, each in its turn."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a copy of this checkout."""
    with shared_folder(tmp_path_factory) as folder:
        if not (folder / "sdist").exists():
            built(copied(folder / "of-checkout"), "sdist", folder / "sdist")
        return next((folder / "sdist").iterdir())


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same copy."""
    with shared_folder(tmp_path_factory) as folder:
        if not (folder / "wheel").exists():
            built(sdist.parents[1] / "of-checkout", "wheel", folder / "wheel")
        return next((folder / "wheel").iterdir())


def contents(wheel: Path) -> dict[str, str]:
    """The digest of each file of a wheel; RECORD, which has those of the others, without."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            each.filename: (
                ""
                if each.filename.endswith("/RECORD")
                else hashlib.sha256(archive.read(each)).hexdigest()
            )
            for each in archive.infolist()
        }


def test_the_sdist_holds_what_is_under_version_control(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        found = {each.name.partition("/")[2] for each in archive if each.isfile()}
    made = {"PKG-INFO", "setup.cfg"}
    found = {name for name in found - made if ".egg-info/" not in name}
    assert found == set(versioned())


def test_the_sdist_keeps_what_may_be_executed(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        modes = {each.name.partition("/")[2]: each.mode for each in archive if each.isfile()}
    for name in ("tools/bootstrap.sh", ".ci/run", ".ci/checks"):
        assert modes[name] & stat.S_IXUSR, name


def test_the_sdist_gives_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    again = built(source, "wheel", tmp_path / "wheel")
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


def test_the_wheel_has_one_name_and_all_that_a_run_needs(wheel: Path) -> None:
    names = [name for name in contents(wheel) if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"kvm_conformance"}
    tree = {name.removeprefix("kvm_conformance/tree/") for name in names}
    rooms = ("guest_blobs/", "harness/", "lab/", "mutants/", "suites/", "tools/")
    wanted = {name for name in versioned() if name.startswith(rooms)}
    wanted |= {"conftest.py", "pytest.ini", "setup/programs.txt", "setup/requirements.txt"}
    more = {name for name in tree - wanted if not name.startswith("kvm_conformance/")}
    assert wanted <= tree
    assert [name.rpartition("/")[0] for name in more] == ["harness/native"]
    with zipfile.ZipFile(wheel) as archive:
        (top,) = (name for name in archive.namelist() if name.endswith("/top_level.txt"))
        assert archive.read(top).split() == [b"kvm_conformance"]


@pytest.fixture(scope="module")
def prefix(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install` puts below PREFIX, moved there from DESTDIR as a package's files are."""
    folder = tmp_path_factory.mktemp("make-install")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    stage, place = folder / "stage", folder / "prefix"
    words = [f"DESTDIR={stage}", f"PREFIX={place}", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        ["make", "-C", str(folder / sdist.name.removesuffix(".tar.gz")), "install", *words],
        env={**CLEAN, "HOME": str(folder), "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (stage / place.relative_to("/")).rename(place)
    return place


def from_root(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in /."""
    return subprocess.run(
        [str(word) for word in words],
        cwd="/",
        env={**CLEAN, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


class Installed:
    """The wheel in a virtual environment, which finds what it requires in the checkout's."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder / "environment"
        self.home = folder / "home"
        self.home.mkdir()
        venv.create(self.folder, symlinks=True)
        place = sysconfig.get_path("purelib", vars={"base": str(self.folder)})
        # Python does not read the .pth files there, one of which names this checkout.
        Path(place, "required.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        python = ["--python", str(self.folder / "bin" / "python")]
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", *python, "install", "--quiet", "--no-deps"),
                *("--no-index", "--ignore-installed", "--no-compile", str(wheel)),
            ],
            env={**CLEAN, "HOME": str(self.home)},
            check=True,
            capture_output=True,
        )
        self.package = Path(place, "kvm_conformance")

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of it from /."""
        variables = {"HOME": str(self.home), **variables}
        return from_root(self.folder / "bin" / words[0], *words[1:], **variables)

    def files(self) -> set[Path]:
        """All that lies in the tree."""
        return set((self.package / "tree").rglob("*"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Whatever a test runs, nothing is written where it is installed."""
    there = Installed(wheel, tmp_path_factory.mktemp("installed"))
    before = there.files()
    yield there
    assert there.files() == before


def test_nothing_else_can_be_imported(installed: Installed) -> None:
    code = (
        "import importlib.util as u, json, kvm_conformance;"
        "names = ('harness', 'lab', 'tools', 'guest_blobs', 'suites', 'mutants', 'conftest');"
        "print(json.dumps([kvm_conformance.__file__, [n for n in names if u.find_spec(n)]]))"
    )
    file, found = json.loads(installed.run("python", "-c", code).stdout)
    assert Path(file).parent == installed.package
    assert found == []


def test_the_catalogue(installed: Installed) -> None:
    done = installed.run("kvm-conformance", "claims")
    assert (done.returncode, done.stderr) == (0, "")
    assert "preset.repeats" in done.stdout


def test_the_list_of_tests(installed: Installed) -> None:
    done = installed.run("kvm-conformance", "run", "--suite", "capability", "--list")
    assert done.returncode == 0, done.stderr
    assert "capability.reported" in done.stdout


def test_one_claim(installed: Installed, tmp_path: Path) -> None:
    """What Python compiles goes to the user's cache."""
    words = ("run", "--claim", "capability.reported", "--jobs", "0", "--output", str(tmp_path))
    done = installed.run("kvm-conformance", *words)
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK)
    assert done.returncode == (0 if usable else 4), done.stdout + done.stderr
    assert (tmp_path / "journal.jsonl").is_file()
    assert list(installed.home.glob(".cache/*/bytecode/**/conftest.*.pyc"))


def test_no_variable_and_no_folder_of_the_users_is_obeyed(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "lab").mkdir()
    for name in ("click.py", "tools.py", "lab/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('obeyed')\n")
    done = subprocess.run(
        [str(installed.folder / "bin" / "python"), "-m", "kvm_conformance", "--version"],
        cwd=tmp_path,
        env={**CLEAN, "HOME": str(installed.home), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kvm-conformance, version ")
    assert done.stderr == "Not handed on to Python: PYTHONPATH.\n"


def test_a_missing_extra_is_named_with_pips_command(installed: Installed, tmp_path: Path) -> None:
    """The packages of the checkout are not seen by this Python."""
    (installed.home / "soak.jsonl").touch()
    python = installed.folder / "bin" / "python"
    code = (
        "import runpy, sys; sys.modules['matplotlib'] = None; sys.argv[1:] = ['sweep'];"
        f"runpy.run_path({str(installed.package / '__main__.py')!r}, run_name='__main__')"
    )
    done = installed.run("python", "-c", code)
    assert done.returncode == 70
    wanted = f"Run `{python} -m pip install 'matplotlib>=3.8'`."
    assert done.stderr.endswith(f"{wanted}\n")


def test_a_whole_that_is_none_says_so(installed: Installed, tmp_path: Path) -> None:
    """Not with Python's own 1, which would accuse the kernel."""
    shutil.copytree(installed.package, tmp_path / "kvm_conformance")
    shutil.rmtree(tmp_path / "kvm_conformance" / "tree" / "lab")
    place = str(tmp_path / "kvm_conformance" / "__main__.py")
    done = installed.run("python", place, "run")
    assert done.returncode == 70
    assert done.stderr.startswith("Error: kvm-conformance is not whole in ")
    assert "install it again" in done.stderr


def test_make_installs_below_a_prefix(prefix: Path, tmp_path: Path) -> None:
    found = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    elsewhere = {name for name in found if not name.startswith("lib/kvm-conformance/")}
    assert elsewhere == {
        "bin/kvm-conformance",
        "bin/kvm-conformance-complete",
        "share/bash-completion/completions/kvm-conformance",
        "share/fish/vendor_completions.d/kvm-conformance.fish",
        "share/man/man1/kvm-conformance.1",
        "share/zsh/site-functions/_kvm-conformance",
    }
    names = {path.name for path in (prefix / "lib" / "kvm-conformance").iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"kvm_conformance"}
    stage = bytes(prefix.with_name("stage"))
    assert [path for path in found if stage in (prefix / path).read_bytes()] == []


def test_what_make_installed_runs(prefix: Path, tmp_path: Path) -> None:
    command, home = prefix / "bin" / "kvm-conformance", {"HOME": str(tmp_path)}
    done = from_root(command, "claims", PYTHONPATH=str(tmp_path), **home)
    assert done.returncode == 0, done.stderr
    assert "preset.repeats" in done.stdout
    assert done.stderr == "Not handed on to Python: PYTHONPATH.\n"
    words = ("run", "--claim", "capability.reported", "--jobs", "0", "--output", tmp_path / "out")
    done = from_root(command, *words, **home)
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK)
    assert done.returncode == (0 if usable else 4), done.stdout + done.stderr
    version = (ROOT / "pyproject.toml").read_text().partition('version = "')[2].partition('"')[0]
    said = from_root(command, "--version", **home).stdout
    assert said == f"kvm-conformance, version {version}\n"


def test_bash_completes(prefix: Path, tmp_path: Path) -> None:
    """As bash itself asks: by the function that the installed script has named to it."""
    script = prefix / "share" / "bash-completion" / "completions" / "kvm-conformance"
    typed = "COMP_WORDS=(kvm-conformance run --claim preset.rep) COMP_CWORD=3"
    asked = 'source "$1"; %s; _kvm_conformance_completion kvm-conformance; echo "${COMPREPLY[@]}"'
    words = ("bash", "--norc", "-c", asked % typed, "bash", script)
    path = f"{prefix / 'bin'}:{CLEAN['PATH']}"
    done = from_root(*words, HOME=str(tmp_path), PATH=path)
    assert (done.stdout, done.stderr) == ("preset.repeats\n", "")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("PREFIX=usr", "PREFIX=usr is no absolute path"),
        ("DESTDIR=stage", "DESTDIR=stage is no absolute path"),
        ("PREFIX=/a b", "characters that a shell obeys"),
        ("PREFIX=/a$$(touch${IFS}made)", "characters that a shell obeys"),
        ("PYTHON=/nowhere/python3", "PYTHON=/nowhere/python3 is no program"),
        ("PYTHON=/bin/false", "/bin/false cannot build the package"),
    ],
)
def test_make_refuses_to_install(words: str, why: str, tmp_path: Path) -> None:
    done = from_root("make", "-C", ROOT, "install", f"DESTDIR={tmp_path}", words)
    assert done.returncode == 2
    assert why in done.stderr
    assert list(tmp_path.iterdir()) == []
