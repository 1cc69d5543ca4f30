# SPDX-License-Identifier: GPL-2.0-only
"""Builds the guest programs, and tells what the committed binaries differ in from a build.

clang, ld.lld and llvm-objcopy serve every architecture; what differs is each one's toolchain.py.
Neither paths nor times nor build ids reach the output, so any machine and folder give the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import guest_blobs
from guest_blobs.toolchain import Toolchain, known


class BlobBuildError(Exception):
    """The programs cannot be built; the message says why and what to do."""


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
    tools: tuple[str, str, str], toolchain: Toolchain, source: Path, mode: str, out: Path
) -> guest_blobs.Entry:
    clang, linker, objcopy = tools
    program, architecture = source.stem, source.parent.name
    placement = toolchain.placement(program)
    name = f"{architecture}/{program}.{mode}.bin"
    binary = out / name
    binary.parent.mkdir(parents=True, exist_ok=True)
    address = toolchain.base + placement.load_address
    with tempfile.TemporaryDirectory(prefix="guest-blobs-") as scratch:
        relocatable, linked = Path(scratch, "program.o"), Path(scratch, "program.elf")
        flags = [f"--target={toolchain.target}", "-nostdinc", "-Werror"]
        flags += toolchain.modes[mode]
        _run([clang, *flags, "-c", str(source), "-o", str(relocatable)])
        # -N: the text starts exactly at its address, not at the next page's.
        link = ["-static", "-N", "--build-id=none", "-e", "start", f"-Ttext={address:#x}"]
        _run([linker, *link, str(relocatable), "-o", str(linked)])
        _run([objcopy, "-O", "binary", "-j", ".text", str(linked), str(binary)])
        entry = _elf_entry(linked) - toolchain.base
    code = binary.read_bytes()
    room = placement.end - placement.load_address
    if not 0 < len(code) <= room:
        raise BlobBuildError(
            f"{source}: mode {mode} gives {len(code)} bytes; there is room for {room}"
        )
    return guest_blobs.Entry(
        program=program,
        architecture=architecture,
        mode=mode,
        file=name,
        sha256=hashlib.sha256(code).hexdigest(),
        size=len(code),
        load_address=placement.load_address,
        entry=entry,
    )


def build_all(out_dir: Path, sources: Path = guest_blobs.FOLDER) -> tuple[guest_blobs.Entry, ...]:
    """Build every program of every architecture into out_dir, and the manifest with them.

    Gives the manifest's entries. BlobBuildError when a tool is missing or a source does not build.
    """
    tools = (_find_tool("clang"), _find_tool("ld.lld"), _find_tool("llvm-objcopy"))
    jobs: list[tuple[Toolchain, Path, str]] = []
    for architecture, toolchain in known().items():
        found = sorted((sources / architecture).glob("*.S"))
        if not found:
            raise BlobBuildError(f"{sources / architecture}: no sources (*.S)")
        for source in found:
            for mode in toolchain.placement(source.stem).modes:
                jobs.append((toolchain, source, mode))
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


def replace(built: Path, committed: Path) -> None:
    """Make the committed files what the build gave; the manifest last, as it vouches for them."""
    new = _files(built)
    for name, path in _files(committed).items():
        if name not in new:
            path.unlink()
    for name, path in new.items():
        if name != guest_blobs.MANIFEST:
            shutil.copyfile(path, committed / name)
    shutil.copyfile(new[guest_blobs.MANIFEST], committed / guest_blobs.MANIFEST)
