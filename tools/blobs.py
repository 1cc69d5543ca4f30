# SPDX-License-Identifier: GPL-2.0-only
"""Build the guest programs, and prove that the committed binaries are what their sources give.

clang, ld.lld and llvm-objcopy serve every architecture. Neither paths nor times nor build ids reach
the output, so any machine and folder give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

import guest_blobs
from guest_blobs import memory_map

EXIT_DIFFERS = 1
EXIT_SUITE_ERROR = 70


class BlobBuildError(Exception):
    """The programs cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Placement:
    """Where a program that is not an ordinary one goes: its modes, and its room in guest RAM.

    ``load_address`` and ``end`` are offsets from the base of guest RAM.
    """

    modes: tuple[str, ...]
    load_address: int = memory_map.PROGRAM
    end: int = memory_map.PROGRAM_END


@dataclass(frozen=True)
class Recipe:
    """How an architecture's programs are built.

    ``base`` is the address of guest RAM, ``modes`` maps a mode's name to its compiler flags, and
    ``placements`` has the programs that differ from the ordinary: every mode, at PROGRAM.
    """

    name: str
    target: str
    modes: Mapping[str, tuple[str, ...]]
    base: int = 0
    placements: Mapping[str, Placement] = field(default_factory=dict)

    def placement(self, program: str) -> Placement:
        """Where a program goes."""
        return self.placements.get(program, Placement(tuple(self.modes)))


ARCHITECTURES: tuple[Recipe, ...] = (
    Recipe(
        name="x86_64",
        # One target for the three modes: the sources switch by .code16, .code32 and .code64.
        target="x86_64-unknown-none",
        modes={
            "real": ("-DMODE_REAL",),
            "protected": ("-DMODE_PROTECTED",),
            "long": ("-DMODE_LONG",),
        },
        placements={
            "nested_svm": Placement(("long",)),
            "pages": Placement(("protected", "long")),
            "second_processor_ap": Placement(
                ("real",), memory_map.SECOND_PROGRAM, memory_map.SECOND_PROGRAM + 0x1000
            ),
            "smi": Placement(("real",), memory_map.SMI_HANDLER, memory_map.SMI_HANDLER + 0x7E00),
        },
    ),
)


def _find_tool(name: str, path: str | None = None) -> str:
    """Full path of a tool on the PATH, plain or versioned (clang-14), the newest first."""
    plain = shutil.which(name, path=path)
    if plain:
        return plain
    versions: dict[int, str] = {}
    for folder in (os.environ.get("PATH", "") if path is None else path).split(os.pathsep):
        for candidate in Path(folder or ".").glob(f"{name}-*"):
            version = candidate.name[len(name) + 1 :]
            if version.isdecimal() and os.access(candidate, os.X_OK):
                versions.setdefault(int(version), str(candidate))
    if versions:
        return versions[max(versions)]
    raise BlobBuildError(
        f"{name} is not installed; building the guest programs needs the Debian packages "
        "clang, lld and llvm: apt-get install clang lld llvm"
    )


def _run(arguments: list[str]) -> None:
    # Nothing of the caller's environment may change the output: CPATH, for instance, would.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BlobBuildError(f"{arguments[0]} could not be run: {error}") from None
    if done.returncode != 0:
        raise BlobBuildError(f"{arguments[0]} failed:\n{(done.stderr or done.stdout).strip()}")


def _elf_entry(path: Path) -> int:
    """e_entry of an ELF file: at 24 in both classes, 8 bytes or 4 (System V ABI, ELF header)."""
    header = path.read_bytes()[:32]
    wide, big = header[4] == 2, header[5] == 2
    (entry,) = struct.unpack_from((">" if big else "<") + ("Q" if wide else "I"), header, 24)
    return int(entry)


def _build_one(
    tools: tuple[str, str, str], architecture: Recipe, source: Path, mode: str, out: Path
) -> guest_blobs.Entry:
    clang, linker, objcopy = tools
    program = source.stem
    placement = architecture.placement(program)
    name = f"{architecture.name}/{program}.{mode}.bin"
    binary = out / name
    binary.parent.mkdir(parents=True, exist_ok=True)
    address = architecture.base + placement.load_address
    with tempfile.TemporaryDirectory(prefix="guest-blobs-") as scratch:
        relocatable, linked = Path(scratch, "program.o"), Path(scratch, "program.elf")
        flags = [f"--target={architecture.target}", "-nostdinc", "-Werror"]
        flags += architecture.modes[mode]
        _run([clang, *flags, "-c", str(source), "-o", str(relocatable)])
        # -N: the text starts exactly at its address, not at the next page's.
        link = ["-static", "-N", "--build-id=none", "-e", "start", f"-Ttext={address:#x}"]
        _run([linker, *link, str(relocatable), "-o", str(linked)])
        _run([objcopy, "-O", "binary", "-j", ".text", str(linked), str(binary)])
        entry = _elf_entry(linked) - architecture.base
    code = binary.read_bytes()
    room = placement.end - placement.load_address
    if not 0 < len(code) <= room:
        raise BlobBuildError(
            f"{source}: mode {mode} gives {len(code)} bytes; there is room for {room}"
        )
    return guest_blobs.Entry(
        program=program,
        architecture=architecture.name,
        mode=mode,
        file=name,
        sha256=hashlib.sha256(code).hexdigest(),
        size=len(code),
        load_address=placement.load_address,
        entry=entry,
    )


def build(out_dir: Path, sources: Path = guest_blobs.FOLDER) -> tuple[guest_blobs.Entry, ...]:
    """Build every program of every architecture into out_dir, and the manifest with them.

    Gives the manifest's entries. BlobBuildError when a tool is missing or a source does not build.
    """
    tools = (_find_tool("clang"), _find_tool("ld.lld"), _find_tool("llvm-objcopy"))
    jobs: list[tuple[Recipe, Path, str]] = []
    for architecture in ARCHITECTURES:
        found = sorted((sources / architecture.name).glob("*.S"))
        if not found:
            raise BlobBuildError(f"{sources / architecture.name}: no sources (*.S)")
        for source in found:
            for mode in architecture.placement(source.stem).modes:
                jobs.append((architecture, source, mode))
    # Threads are enough: the work is in the tools.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(_build_one, tools, *job, out_dir) for job in jobs]
        entries = [each.result() for each in work]
    document = {"schema": guest_blobs.SCHEMA, "blobs": [asdict(entry) for entry in entries]}
    (out_dir / guest_blobs.MANIFEST).write_text(
        json.dumps(document, indent=2) + "\n", encoding="utf-8"
    )
    return tuple(entries)


def _files(folder: Path) -> dict[str, Path]:
    """The files that a build makes, found in a folder: name relative to it -> path."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.glob("*/*.bin"))}
    if (folder / guest_blobs.MANIFEST).exists():
        files[guest_blobs.MANIFEST] = folder / guest_blobs.MANIFEST
    return files


def differences(built: Path, committed: Path) -> list[str]:
    """What differs between a build and the committed files: one sentence each."""
    new, old = _files(built), _files(committed)
    found = []
    for name in sorted(new.keys() | old.keys()):
        if name not in old:
            found.append(f"{name}: missing")
        elif name not in new:
            found.append(f"{name}: no source gives it")
        elif new[name].read_bytes() != old[name].read_bytes():
            hashes = [hashlib.sha256(side[name].read_bytes()).hexdigest() for side in (new, old)]
            found.append(f"{name}: the source gives SHA-256 {hashes[0]}, the file has {hashes[1]}")
    return found


def _replace(built: Path, committed: Path) -> None:
    """Make the committed files what the build gave; the manifest last, as it vouches for them."""
    new = _files(built)
    for name, path in _files(committed).items():
        if name not in new:
            path.unlink()
    for name, path in new.items():
        if name != guest_blobs.MANIFEST:
            shutil.copyfile(path, committed / name)
    shutil.copyfile(new[guest_blobs.MANIFEST], committed / guest_blobs.MANIFEST)


@click.command(name="blobs")
@click.option("--write", is_flag=True, help="Replace the committed binaries and the manifest.")
def blobs(write: bool) -> None:
    """Rebuild the guest programs and compare them with the committed binaries.

    Exit codes: 0 the same, 1 something differs, 70 they cannot be built.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="guest-blobs-") as scratch:
            built = Path(scratch)
            count = len(build(built))
            if write:
                _replace(built, guest_blobs.FOLDER)
            found = differences(built, guest_blobs.FOLDER)
    except (BlobBuildError, OSError) as error:
        click.echo(f"blobs: {error}", err=True)
        sys.exit(EXIT_SUITE_ERROR)
    if found:
        for sentence in found:
            click.echo(f"blobs: {sentence}", err=True)
        click.echo(
            "blobs: the committed guest programs are not what their sources give; "
            "to replace them: python -m tools.blobs --write",
            err=True,
        )
        sys.exit(EXIT_DIFFERS)
    click.echo(f"blobs: {count} guest programs, each the same as its source gives")


if __name__ == "__main__":
    blobs()
