# SPDX-License-Identifier: GPL-2.0-only
"""apt with directories of its own: a Debian archive without the machine's apt knowing of it.

Nothing here needs root, and no file of /etc/apt, /var/lib/apt or /var/cache/apt is written; the
machine's hooks do not run either, for its configuration is not read. Only how to reach a network
(proxies and the like) is taken over from it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.signs import Signs
from lab.emulation.cache import Look, Say, lock, make_folder, megabytes, need_room, run
from lab.emulation.errors import ChangedError, KernelError, NotInArchiveError, OfflineError
from lab.emulation.throughput import Throughput

# Under another name once it holds other packages: lists of an earlier version lack those.
_PACKAGES = "packages-2"
MIRROR = "KVM_CONFORMANCE_DEBIAN_MIRROR"  # the variable that names another archive
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
STALE_S = 24 * 3600  # lists older than this are fetched again
_ROOM_FOR_LISTS = 100_000_000  # bytes; the lists of sid are 11 MB packed and 60 MB unpacked

# What apt prints (apt-pkg/acquire-item.cc, methods/connect.cc, methods/gpgv.cc), most telling
# first: a signature that does not check is never taken for anything milder.
_SIGNATURE = re.compile(
    r"GPG error|NO_PUBKEY|BADSIG|EXPKEYSIG|EXPSIG|REVKEYSIG|NODATA|is not signed"
    r"|Clearsigned file isn't valid|signatures? (?:couldn't be verified|were invalid)"
    r"|not live until|Sub-process .*sqv"
)
_DIFFERS = re.compile(r"Hash Sum mismatch|unexpected size")
_CLOCK = re.compile(r"Release file .* (?:is expired|is not valid yet)")
_ABSENT = re.compile(r"404 +Not Found|does not have a Release file|File not found")
_NETWORK = re.compile(
    r"[Ff]ailure resolving|Could not resolve|[Cc]ould not connect|Connection failed|timed out"
    r"|Unable to connect|Network is unreachable|Connection refused|Cannot initiate the connection"
    r"|Something wicked happened|No route to host|Connection reset|\b50[0-9] +\w"
)


@dataclass(frozen=True)
class Suite:
    """One suite of one archive, such as `bookworm-security`.

    `architecture` is Debian's name of another one than this machine's; empty for its own.
    """

    uri: str
    name: str
    architecture: str = ""

    @property
    def folder(self) -> str:
        """A name for its folder in the cache."""
        words = filter(None, (self.uri, self.name, self.architecture))
        return re.sub(r"[^A-Za-z0-9.-]+", "_", " ".join(words))


@dataclass(frozen=True)
class Package:
    """A package of a suite; sizes in bytes, `depends` with the alternatives of each dependency."""

    name: str
    version: str
    depends: tuple[tuple[str, ...], ...]
    size: int
    installed_size: int
    suite: Suite


class Apt:
    """The archive's suites as they stand in one cache."""

    def __init__(self, cache: Path, say: Say) -> None:
        self._folder = cache / "debian"
        self._say = say
        self._fresh: set[Suite] = set()
        self._absent: dict[Suite, NotInArchiveError] = {}
        self._silent: dict[str, OfflineError] = {}  # archives that did not answer

    def packages(self, suite: Suite, again: bool = False) -> list[Package]:
        """The packages of a suite's kernels, with their headers and sources.

        Fetches the suite's lists where they are missing or a day old.

        `again` fetches them in any case, but once only. Without a network the lists of an earlier
        day serve, with a note. Raises NotInArchiveError for a suite that is not there,
        OfflineError, and KernelError for a signature that does not check.
        """
        if suite in self._absent:
            raise self._absent[suite]
        home = self._home(suite)
        with self._lock(suite) as held:
            found = home / _PACKAGES
            age = time.time() - found.stat().st_mtime if found.exists() else None
            if suite not in self._fresh and (again or age is None or not 0 <= age <= STALE_S):
                self._fresh.add(suite)
                try:
                    if suite.uri in self._silent:
                        raise self._silent[suite.uri]
                    self._refresh(suite, home, held)
                except OfflineError as error:
                    self._silent.setdefault(suite.uri, error)
                    if age is None:
                        raise
                    day = time.strftime("%Y-%m-%d", time.localtime(found.stat().st_mtime))
                    self._say(f"{error}; going on with the lists of {suite.name} of {day}")
                except NotInArchiveError as error:
                    self._absent[suite] = error
                    raise
                finally:
                    if not found.exists():
                        shutil.rmtree(home, ignore_errors=True)
            if not found.exists():
                raise OfflineError(f"the lists of {suite.name} from {suite.uri} are not here")
            return list(_parse(found.read_text(), suite))

    def with_dependencies(self, suite: Suite, names: Sequence[str]) -> list[Package]:
        """These packages of a suite, and all that they depend on: what apt would install.

        As on a machine that has nothing yet, and without what is only recommended. Raises as
        `packages`, and NotInArchiveError where the suite cannot give them.
        """
        self.packages(suite)  # the lists are here, and not of long ago
        environment = _environment(self._home(suite))
        words = ["apt-get", "-q", "-s", "--no-install-recommends", "install", *names]
        signs = Signs(self._say, lambda: f"asking apt what {names[0]} takes")
        with self._lock(suite, shared=True):
            told = run(words, environment=environment, look=signs.look)
            chosen = re.findall(r"^Inst (\S+) \((\S+) ", told.stdout, re.M)
            if told.returncode != 0 or not chosen:
                complaints = [x for x in told.stderr.splitlines() if x.startswith("E: ")]
                why = complaints[0].removeprefix("E: ") if complaints else "apt names none"
                raise NotInArchiveError(
                    f"{suite.name} from {suite.uri} cannot give {', '.join(names)}: {why}"
                )
            shown = run(
                ["apt-cache", "show", *(f"{name}={version}" for name, version in chosen)],
                environment=environment,
            )
        return list(_parse(shown.stdout, suite))

    def download(self, packages: list[Package], folder: Path, held: int) -> list[Path]:
        """Downloads packages into `folder`, going on where an earlier attempt ended.

        `held` is the lock under which the folder is written. Raises OfflineError,
        NotInArchiveError or KernelError.
        """
        size = megabytes(sum(package.size for package in packages))

        def doing() -> str:
            return f"fetching, {megabytes(_size(folder))} of {size} are here"

        signs = Signs(self._say, doing)
        places = {
            suite: self._places(suite, [each for each in packages if each.suite == suite])
            for suite in dict.fromkeys(package.suite for package in packages)
        }
        return [
            self._download_one(
                package.suite,
                places[package.suite][package.name],
                folder,
                held,
                _look(signs, package.suite, folder),
            )
            for package in packages
        ]

    def _places(self, suite: Suite, packages: list[Package]) -> dict[str, tuple[str, str, str]]:
        """Address, file and hash of each package, the hash out of the signed lists."""
        words = [f"{package.name}={package.version}" for package in packages]
        with self._lock(suite, shared=True):
            told = run(
                ["apt-get", "-q", "download", "--print-uris", *words],
                environment=_environment(self._home(suite)),
            )
        # 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH
        line = re.compile(r"^'(\S+)' (([^\s_]+)_\S+) \d+ (SHA(?:256|512):\w+)$", re.M)
        found = {name: (uri, file, digest) for uri, file, name, digest in line.findall(told.stdout)}
        if told.returncode != 0 or any(package.name not in found for package in packages):
            raise _error(suite, "packages", told.stdout + told.stderr)
        return found

    def _download_one(
        self, suite: Suite, place: tuple[str, str, str], folder: Path, held: int, look: Look
    ) -> Path:
        uri, name, digest = place
        # `apt-get download` itself begins anew where a part is there already; this goes on.
        helper: list[str | Path] = [
            "/usr/lib/apt/apt-helper",
            "-q",
            "download-file",
            uri,
            folder / name,
            digest,
        ]
        environment = _environment(self._home(suite))
        done = run(helper, environment=environment, folder=folder, held=held, look=look)
        if done.returncode != 0:
            text = done.stdout + done.stderr
            if _DIFFERS.search(text):
                (folder / name).unlink(missing_ok=True)
            raise _error(suite, "packages", text)
        return folder / name

    def _home(self, suite: Suite) -> Path:
        return self._folder / "suites" / suite.folder

    def _lock(self, suite: Suite, shared: bool = False) -> AbstractContextManager[int]:
        path = self._folder / "suites" / f"{suite.folder}.lock"
        return lock(path, self._say, f"uses the lists of {suite.name}", shared)

    def _refresh(self, suite: Suite, home: Path, held: int) -> None:
        if not KEYRING.is_file():
            raise KernelError(
                f"the keys of Debian's archive are missing ({KEYRING}), so nothing from it could "
                "be trusted; install the package debian-archive-keyring"
            )
        self._say(f"fetching the lists of {suite.name} from {suite.uri}")
        for part in ("lists/partial", "archives/partial", "etc"):
            make_folder(home / part)
        need_room(home, _ROOM_FOR_LISTS, f"the lists of {suite.name}")
        (home / "status").write_text("")
        (home / "etc/sources.list").write_text(
            f"deb [signed-by={KEYRING}] {suite.uri} {suite.name} main\n"
        )
        (home / "apt.conf").write_text(_configuration(home, suite.architecture or architecture()))
        environment = _environment(home)
        signs = Signs(self._say, lambda: f"fetching the lists of {suite.name}")
        look = _look(signs, suite, home)
        words = ["apt-get", "-q", "update"]
        done = run(words, environment=environment, held=held, look=look)
        # apt-get ends with 0 where it could not fetch, and keeps what it had.
        problems = [line for line in done.stderr.splitlines() if line.startswith(("W: ", "E: "))]
        if problems:
            raise _error(suite, "lists", "\n".join([done.stdout, *problems]))
        listed = run(["apt-cache", "pkgnames", "linux-"], environment=environment)
        names = [name for name in listed.stdout.split() if _KERNEL.match(name)]
        shown = ""
        if names:
            # Its exit code is 100 where one of the names is only mentioned by other packages.
            shown = run(["apt-cache", "show", *names], environment=environment).stdout
        fresh = home / f"{_PACKAGES}.new"
        fresh.write_text(shown)
        fresh.replace(home / _PACKAGES)


_KERNEL = re.compile(r"linux-(?:image|binary|modules|base|headers|kbuild|source)-[^ ]+(?<!-dbg)$")


def _look(signs: Signs, suite: Suite, folder: Path) -> Look:
    """Says signs of life while `folder` gets what a suite has; raises OfflineError if it drips."""
    throughput = Throughput(suite.uri, lambda: _size(folder))

    def look() -> None:
        signs.look()
        throughput.look()

    return look


def _size(folder: Path) -> int:
    """Bytes of the files below a folder that another process writes."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # it may just get its name
            size += path.stat().st_size
    return size


def mirror() -> str | None:
    """The Debian archive that this machine's own apt uses, or None."""
    try:
        done = run(["apt-get", "indextargets", "--format", "$(REPO_URI)"])
    except KernelError:
        return None
    for line in done.stdout.splitlines():
        if re.fullmatch(r"https?://.+/debian/?", line):
            return line.rstrip("/")
    return None


def _environment(home: Path) -> dict[str, str]:
    return {"APT_CONFIG": str(home / "apt.conf")}


def _configuration(home: Path, of: str) -> str:
    # apt.conf(5): the file that APT_CONFIG names is read first, so it decides where the others
    # would be; there are none.
    settings = {
        "Dir::Etc": f"{home}/etc",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": "/dev/null",
        "Dir::State": str(home),
        "Dir::State::lists": f"{home}/lists",
        "Dir::State::status": f"{home}/status",
        "Dir::Cache": str(home),
        "Dir::Cache::archives": f"{home}/archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Log": str(home),
        # root drops to _apt else, which cannot write to a user's cache.
        "APT::Sandbox::User": "root",
        "APT::Architecture": of,
        "APT::Architectures": of,
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "true",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
        # A suite becomes oldstable one day; its key still says whose it is.
        "Acquire::AllowReleaseInfoChange": "true",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "APT::Update::Error-Mode": "any",
    }
    ours = [f'{name} "{value}";' for name, value in settings.items()]
    dump = run(["apt-config", "dump"]).stdout.splitlines()
    reach = re.compile(r'Acquire::(?:https?|Check-Valid-Until|Check-Date)\b.* ".+";$')
    return "\n".join([*(line for line in dump if reach.match(line)), *ours, ""])


def architecture() -> str:
    """What Debian calls this machine's architecture, such as amd64."""
    done = run(["dpkg", "--print-architecture"])
    return done.stdout.strip()


def _parse(text: str, suite: Suite) -> Iterator[Package]:
    for stanza in text.split("\n\n"):
        field = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
        if "Package" in field and "Filename" in field:
            depends = tuple(
                tuple(re.findall(r"(?:^|\|) *([a-z0-9][a-z0-9+.-]*)", alternatives))
                for alternatives in field.get("Depends", "").split(",")
            )
            yield Package(
                name=field["Package"],
                version=field["Version"],
                depends=depends,
                size=int(field.get("Size", 0)),
                installed_size=int(field.get("Installed-Size", 0)) * 1024,
                suite=suite,
            )


def _error(suite: Suite, what: str, text: str) -> KernelError:
    """What apt's complaints mean, with the most telling of them."""

    def first(pattern: re.Pattern[str]) -> str | None:
        lines = [line.strip() for line in text.splitlines() if pattern.search(line)]
        told = [line for line in lines if line.startswith(("E: ", "W: "))] or lines
        return re.sub(r"^[EW]: ", "", told[0]) if told else None

    place = f"the {what} of {suite.name} from {suite.uri}"
    if line := first(_SIGNATURE):
        return KernelError(
            f"the signature of {place} does not check, so nothing was taken from there: {line}; "
            "if the mirror is right, a newer package debian-archive-keyring may know the key"
        )
    if line := first(_DIFFERS):
        return ChangedError(
            f"{place} are not what the signed list says, so nothing was taken: {line}; the mirror "
            f"is being changed, or somebody changed it: try again later, or set {MIRROR}"
        )
    if line := first(_CLOCK):
        return KernelError(
            f"{place} are not valid at this time: {line}; set this machine's clock, or take "
            "another mirror"
        )
    if line := first(_NETWORK):
        return OfflineError(f"{suite.uri} does not answer, is there a network? {line}")
    if first(_ABSENT):
        if what == "lists":
            return NotInArchiveError(f"{suite.uri} has no suite {suite.name}")
        return NotInArchiveError(f"{suite.uri} lacks a file that its lists of {suite.name} name")
    last = [line for line in text.splitlines() if line.strip()][-2:]
    return KernelError(f"apt could not fetch {place}: {' / '.join(last)}")
