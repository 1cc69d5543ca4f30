# SPDX-License-Identifier: GPL-2.0-only
"""The Python packages of a payload: of the set-up's pins what its runs import, no code of C."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

from harness.signs import Signs
from lab.emulation import cache as caches
from lab.emulation.cache import Say
from lab.emulation.errors import KernelError, OfflineError
from lab.emulation.stored import lock_of, mark_used

PINS = Path(__file__).resolve().parents[2] / "setup" / "requirements.txt"
#: What pytest, its plugins and the suites import; _cffi_backend is Debian's.
NAMES = (
    *("defusedxml", "execnet", "iniconfig", "junit-xml", "packaging", "pluggy", "pygments"),
    *("pytest", "pytest-xdist", "six"),
)
# What differs from one installation to the next, or begins with a path of this host.
_LEFT_OUT = re.compile(r"bin(/|$)|.*\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$")
_NETWORK = re.compile(r"NewConnectionError|name resolution|ProxyError|Max retries|timed out")


def keep(name: str) -> bool:
    """Whether a path below the folder belongs to the payload."""
    return not _LEFT_OUT.match(name) and "__pycache__" not in name


def pinned() -> str:
    """The pins with their hashes, as pip reads them. Raises KernelError where one is missing."""
    blocks = re.findall(r"^[a-z][^ ]*==(?:.*\\\n)*.*\n", PINS.read_text(encoding="utf-8"), re.M)
    found = {block.split("==")[0]: block for block in blocks}
    lacking = [name for name in NAMES if name not in found]
    if lacking:
        raise KernelError(f"{PINS} pins no {', '.join(lacking)}, which a payload's runs import")
    return "".join(found[name] for name in NAMES)


def provide(python: str, cache: Path, say: Say) -> Path:
    """The folder with them for a Python such as python3.13, from the cache or fetched now.

    Raises KernelError for no network, or a file that is another than its hash says.
    """
    version, pins = python.removeprefix("python"), pinned()
    digest = hashlib.sha256(f"{version}\n{pins}".encode()).hexdigest()[:16]
    done = cache / "python" / f"{python}-{digest}"
    caches.make_folder(done.parent)
    with caches.lock(lock_of(done), say, "fetches the payload's Python packages"):
        if done.is_dir():
            mark_used(done)
            return done
        say(f"fetching {len(NAMES)} Python packages for the payload's {python}")
        part = done.with_name(f"{done.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        wanted = part / "requirements"
        wanted.write_text(pins, encoding="utf-8")
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
        words += ["--target", str(part / "site"), "--no-deps", "--only-binary=:all:"]
        words += ["--python-version", version, "--implementation", "cp", "--require-hashes"]
        signs = Signs(say, lambda: "fetching the payload's Python packages")
        got = caches.run([*words, "-r", wanted], look=signs.look)
        if got.returncode:
            raise _error(got.stderr)
        (part / "site").rename(done)
        shutil.rmtree(part, ignore_errors=True)
    return done


def _error(text: str) -> KernelError:
    if "No module named pip" in text:
        return KernelError(
            f"{sys.executable} has no pip, which fetches the payload's Python packages; install it"
        )
    if "DO NOT MATCH THE HASHES" in text:
        return KernelError(
            f"a Python package is another file than {PINS} names by its hash, so nothing was "
            "taken: whoever serves it changed it; use pypi.org, or a true mirror of it"
        )
    if _NETWORK.search(text):
        return OfflineError("the package index does not answer, is there a network?")
    last = [line for line in text.splitlines() if line.startswith("ERROR")][-1:] or [text.strip()]
    return KernelError(f"pip could not fetch the payload's Python packages: {last[0]}")
