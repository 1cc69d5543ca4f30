# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel to boot: a word of the user becomes an image and its modules."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass, replace
from pathlib import Path

from harness import files
from lab.emulation import arch, debian, image, options
from lab.emulation import cache as caches
from lab.emulation.arch import EmulatedArchitecture, Foreign
from lab.emulation.cache import Say
from lab.emulation.errors import KernelError

__all__ = ["SPECS", "Kernel", "KernelError", "digest", "find"]

SPECS = (
    "`host` (the running kernel), `default` (the newest installed one, else Debian's own), an "
    "installed release (6.1.0-44-amd64), the path of a vmlinuz or of a build tree, "
    "debian:SUITE[/rt|/cloud|/16k|/64k] or debian:VERSION[/rt|/cloud|/16k|/64k]"
)
_LARGEST = 1024 * files.MEGABYTE  # an image, with an initial file system in it
#: The kernel of other architectures: the oldest release of Debian that has them all.
DEFAULT_ELSEWHERE = "debian:trixie"
ROOT = Path("/")  # where installed kernels are looked for


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted.

    name     for people: where it is from and its release
    modules  the folder that holds lib/modules/RELEASE; None for a build tree, and for a kernel
             that needs none
    source   what the user asked for
    config   its configuration, where that is known
    """

    image: Path
    release: str
    name: str
    modules: Path | None
    source: str
    config: Path | None = None

    @property
    def is_realtime(self) -> bool:
        """Whether it has PREEMPT_RT, as Debian names such kernels."""
        return "rt" in re.split(r"[-+]", self.release)

    @property
    def label(self) -> str:
        """The name in letters that stand in any report and file name: [a-z0-9_]."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")


def _silent(_: str) -> None:
    pass


def find(
    spec: str, cache: Path | None = None, say: Say = _silent, foreign: Foreign | None = None
) -> Kernel:
    """The kernel that `spec` names; SPECS lists what that may be.

    `cache` is the folder for fetched kernels (cache.root() if None), `say` gets a line for each
    step that takes long. `foreign` asks for another architecture's; none of those is installed.
    Raises KernelError for a kernel that is not there, or cannot be an emulated host.
    """
    if not spec:
        raise KernelError(f"the kernel's name is empty; it is one of {SPECS}")
    of = arch.of(foreign)
    if foreign and spec == "default":
        return replace(
            _of_debian(DEFAULT_ELSEWHERE, cache or caches.root(), say, foreign), source=spec
        )
    if foreign and spec == "host":
        raise KernelError(
            f"the running kernel is one for {platform.machine()}, and {of.machine} was asked for; "
            f"name another, such as {DEFAULT_ELSEWHERE}"
        )
    if spec == "default":
        return replace(_default(cache, say), source=spec)
    if spec == "host":
        return _host()
    if spec.startswith("debian:"):
        return _of_debian(spec, cache or caches.root(), say, foreign)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _build_tree(path.absolute(), spec, of)
    if path.exists():
        return _checked(path.absolute(), path.name, spec, None, of)
    if "/" in spec or foreign:
        raise KernelError(f"{spec} does not exist; a kernel is one of {SPECS}")
    return _installed(spec)


def digest(kernel: Kernel) -> str:
    """Tells two kernels of one release apart, such as a build tree before and after a change.

    Of the image, and of KVM where it is a module.
    """
    if kernel.modules:
        folder, pattern = kernel.modules / "lib/modules" / kernel.release, "kernel/arch/*/kvm/*.ko*"
    else:
        folder, pattern = Path(kernel.source).expanduser(), "arch/*/kvm/*.ko"
    whole = hashlib.sha256()
    for path in (kernel.image, *sorted(folder.glob(pattern))):
        whole.update(hashlib.sha256(files.read_regular(path, _LARGEST)).digest())
    return whole.hexdigest()[:16]


def _default(cache: Path | None, say: Say) -> Kernel:
    releases = sorted(_installed_images(), key=debian.version_key, reverse=True)
    for release in releases:
        try:
            return _installed(release)
        except KernelError as error:
            say(f"the installed kernel {release} does not serve: {error}")
    system = _os_release()
    if system.get("ID") != "debian":
        raise KernelError(
            f"{'none of the installed kernels serves' if releases else 'no kernel is installed'}, "
            f"and only Debian's own kernels can be fetched; this is "
            f"{system.get('PRETTY_NAME', 'an unknown system')}: install its kernel's package, or "
            "name another kernel, such as debian:stable where apt and Debian's keys are installed"
        )
    spec = f"debian:{system.get('VERSION_CODENAME', 'stable')}"
    say(f"no kernel that serves is installed here; taking the distribution's own, {spec}")
    return _of_debian(spec, cache or caches.root(), say)


def _host() -> Kernel:
    release = platform.release()
    found = _installed_images().get(release)
    if found is None:
        raise KernelError(
            f"the running kernel {release} has no image in /boot or /lib/modules, as in a "
            f"container or where the kernel comes from outside; name another kernel: {SPECS}"
        )
    running = Path("/proc/config.gz")
    return _checked(found, "host", "host", running if running.exists() else None, arch.here())


def _installed(release: str) -> Kernel:
    found = _installed_images()
    if release not in found:
        there = ", ".join(sorted(found, key=debian.version_key)) or "none"
        raise KernelError(
            f"no kernel {release} is installed (installed: {there}), and there is no such file; "
            f"debian:{release} looks in Debian's archive; a kernel is one of {SPECS}"
        )
    return _checked(found[release], "installed", release, None, arch.here())


def _of_debian(spec: str, cache: Path, say: Say, foreign: Foreign | None = None) -> Kernel:
    board = foreign.board if foreign else None
    folder = debian.fetch(spec, cache, say, board)
    release = folder.name.split("_")[0]
    image_file = folder / "boot" / f"{board.image_file if board else 'vmlinuz'}-{release}"
    of = arch.of(foreign)
    return _checked(image_file, re.sub("[:/]", "-", spec), spec, None, of)


def _build_tree(tree: Path, spec: str, here: EmulatedArchitecture) -> Kernel:
    config, release = tree / ".config", tree / "include/config/kernel.release"
    built = tree / here.image
    if not config.exists() and not built.exists():
        raise KernelError(
            f"{tree} is not a kernel's build tree (it has no .config); give the folder in which "
            "`make` ran, or the path of a vmlinuz"
        )
    if not built.exists() or not release.exists():
        raise KernelError(
            f"the kernel in {tree} is not built ({built.relative_to(tree)} is missing); run "
            f"make -C {tree}"
        )
    _need_machine(built, image.read(built).machine, here)
    _need_options(tree, config, here)
    modules = [f"{here.kvm}/{name}.ko" for name in here.modules[:1]]
    is_module = options.read(config).get("KVM") == "m"
    for module in modules:
        if not is_module or (tree / module).exists():
            continue
        raise KernelError(
            f"the modules in {tree} are not built ({module} is missing); run make -C {tree} modules"
        )
    name = release_of(release)
    return Kernel(built, name, f"{tree.name} {name}", None, spec, config)


def release_of(path: Path) -> str:
    """What a tree's include/config/kernel.release says. Raises KernelError."""
    try:
        text = files.read_regular(path, files.MEGABYTE).decode("utf-8", "replace").strip()
    except OSError as error:
        raise KernelError(f"{path} cannot be read: {error.strerror}") from error
    if not re.fullmatch(r"[0-9][A-Za-z0-9._+~-]{0,200}", text):
        raise KernelError(f"{path} names no release of a kernel; run make in the tree again")
    return text


def _checked(
    path: Path, origin: str, spec: str, config: Path | None, of: EmulatedArchitecture
) -> Kernel:
    """The kernel of an image, once it is clear that it can be an emulated host."""
    found = image.read(path)
    _need_machine(path, found.machine, of)
    modules = _modules_folder(path, found.release)
    places = [path.with_name(f"config-{found.release}"), path.with_name("config")]
    if modules:
        places.append(modules / "lib/modules" / found.release / "config")
    config = next((place for place in places if place.is_file()), config)
    if config:
        _need_options(path, config, of)
        if modules is None and options.read(config).get("KVM") == "m":
            raise KernelError(
                f"the modules of {path} are missing: KVM is one of them, and beside the image "
                f"there is no lib/modules/{found.release}; put the image into FOLDER/boot and the "
                "modules into FOLDER/lib/modules"
            )
    return Kernel(path, found.release, f"{origin} {found.release}", modules, spec, config)


def _modules_folder(path: Path, release: str) -> Path | None:
    """FOLDER of FOLDER/boot/vmlinuz or FOLDER/lib/modules/RELEASE/vmlinuz, if it has the modules.

    The first is where virtme-ng looks too.
    """
    for folder in path.parents:
        inside = str(path.parent.relative_to(folder))
        known = inside in ("boot", f"lib/modules/{release}")
        if known and (folder / "lib/modules" / release).is_dir():
            return folder
    return None


def _need_machine(path: Path, machine: str, of: EmulatedArchitecture) -> None:
    if machine != of.machine and of.machine != platform.machine():
        raise KernelError(
            f"{path} is a kernel for {machine}, and {of.machine} was asked for; give one for that"
        )
    if machine != of.machine:
        raise KernelError(
            f"{path} is a kernel for {machine}, and this host is {platform.machine()}: the suites "
            "run inside it with this host's programs; give a kernel for this machine, or add "
            f"--arch {machine}"
        )


def _need_options(what: Path, config: Path, of: EmulatedArchitecture) -> None:
    elsewhere = of.machine != platform.machine()
    lacking = options.missing(options.read(config), of, in_memory=elsewhere)
    if lacking:
        raise KernelError(
            f"{what} cannot be an emulated host: it was built without {'; '.join(lacking)} "
            f"(says {config}); take another flavour, or build it with these"
        )


def _installed_images() -> dict[str, Path]:
    """The images of installed kernels by release."""
    found = {path.parent.name: path for path in ROOT.glob("lib/modules/*/vmlinuz")}
    for path in ROOT.glob("boot/vmlinuz-*"):
        found[path.name.removeprefix("vmlinuz-")] = path
    return found


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
