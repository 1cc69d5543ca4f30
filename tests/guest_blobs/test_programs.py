# SPDX-License-Identifier: GPL-2.0-only
"""The guest programs: the loader refuses what is not right, and the sources give the binaries."""

import hashlib
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import guest_blobs
from guest_blobs import BlobError, build, memory_map
from guest_blobs.toolchain import known
from guest_blobs.x86_64.memory_map import SMI_HANDLER
from harness.kvm.arch.x86_64 import devices
from tools import blobs

EVERY_BLOB = [
    pytest.param(entry, id=f"{entry.architecture}-{entry.program}-{entry.mode}")
    for entry in guest_blobs.manifest()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the guest programs that a test may damage."""
    copy = tmp_path / "guest_blobs"
    shutil.copytree(guest_blobs.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of every program from the sources where they stand."""
    out = tmp_path_factory.mktemp("built")
    try:
        build.build_all(out)
    except build.BlobBuildError as error:
        if "not installed" in str(error):
            pytest.skip(f"no_tools: {error}")
        raise
    return out


@pytest.mark.parametrize("entry", EVERY_BLOB)
def test_committed_binary_loads(entry: guest_blobs.Entry) -> None:
    blob = guest_blobs.load(entry.program, entry.architecture, entry.mode)
    assert hashlib.sha256(blob.code).hexdigest() == entry.sha256
    assert len(blob.code) == entry.size
    assert (blob.name, blob.architecture, blob.mode) == (
        entry.program,
        entry.architecture,
        entry.mode,
    )
    assert blob.load_address <= blob.entry < blob.load_address + len(blob.code)
    if entry.program != "compat_caller":  # a program of the host
        assert blob.load_address + len(blob.code) <= memory_map.RAM_SIZE


def test_programs_and_modes() -> None:
    assert {"heartbeat", "halt", "port_io", "msr"} <= set(guest_blobs.programs("x86_64"))
    assert guest_blobs.modes("x86_64", "heartbeat") == ("real", "protected", "long")
    assert guest_blobs.modes("x86_64", "pages") == ("protected", "long")
    assert guest_blobs.modes("x86_64", "smi") == ("real",)


def test_special_placement() -> None:
    assert guest_blobs.load("smi", "x86_64", "real").load_address == SMI_HANDLER
    second = guest_blobs.load("second_processor_ap", "x86_64", "real")
    assert second.load_address == second.entry == memory_map.SECOND_PROGRAM


def test_damaged_binary_is_named_with_both_hashes(folder: Path) -> None:
    path = folder / "x86_64" / "heartbeat.long.bin"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    code = bytearray(path.read_bytes())
    code[3] ^= 1
    path.write_bytes(code)
    with pytest.raises(BlobError) as caught:
        guest_blobs.load("heartbeat", "x86_64", "long", folder)
    message = str(caught.value)
    assert str(path) in message
    assert f"expected SHA-256 {expected}" in message
    assert f"found {hashlib.sha256(code).hexdigest()}" in message
    assert "make blobs" in message
    # The others are as good as before.
    assert guest_blobs.load("heartbeat", "x86_64", "real", folder).code


def test_truncated_binary_is_refused(folder: Path) -> None:
    path = folder / "x86_64" / "halt.real.bin"
    path.write_bytes(b"")
    with pytest.raises(BlobError, match=re.escape(hashlib.sha256(b"").hexdigest())):
        guest_blobs.load("halt", "x86_64", "real", folder)


def test_missing_binary_is_named(folder: Path) -> None:
    path = folder / "x86_64" / "port_io.protected.bin"
    path.unlink()
    with pytest.raises(BlobError) as caught:
        guest_blobs.load("port_io", "x86_64", "protected", folder)
    message = str(caught.value)
    assert str(path) in message
    assert "found missing" in message
    assert re.search(r"expected SHA-256 [0-9a-f]{64}", message)
    assert "make blobs" in message


def test_unreadable_binary_is_named(folder: Path) -> None:
    path = folder / "x86_64" / "port_io.protected.bin"
    path.unlink()
    path.mkdir()
    with pytest.raises(BlobError, match="cannot be read: Is a directory"):
        guest_blobs.load("port_io", "x86_64", "protected", folder)


@pytest.mark.parametrize(
    ("program", "architecture", "mode", "message"),
    [
        pytest.param("nonsense", "x86_64", "long", "no guest program nonsense", id="program"),
        pytest.param("heartbeat", "vax", "long", "architecture vax.*x86_64", id="architecture"),
        pytest.param("pages", "x86_64", "real", "no mode real.*protected, long", id="mode"),
    ],
)
def test_unknown_is_named(program: str, architecture: str, mode: str, message: str) -> None:
    with pytest.raises(BlobError, match=message):
        guest_blobs.load(program, architecture, mode)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "missing", id="missing"),
        pytest.param("{", "no manifest of schema 1: .*truncated", id="not-json"),
        pytest.param("\N{SNOWMAN}", "no manifest of schema 1: .*malformed", id="no-text"),
        pytest.param("[]", "no manifest of schema 1", id="no-object"),
        pytest.param('{"schema": 2, "blobs": []}', "no manifest of schema 1", id="schema"),
        pytest.param('{"schema": 1}', "missing required field `blobs`", id="no-list"),
        pytest.param('{"schema": 1, "blobs": []}', "there are some for: none", id="empty"),
        pytest.param(
            '{"schema": 1, "blobs": [7]}',
            r"Expected `object`, got `int` - at `\$\.blobs\[0\]`",
            id="no-blob",
        ),
        pytest.param(
            '{"schema": 1, "blobs": [{}]}',
            r"missing required field `program` - at `\$\.blobs\[0\]`",
            id="no-field",
        ),
    ],
)
def test_broken_manifest_is_named(folder: Path, text: str | None, message: str) -> None:
    path = folder / guest_blobs.MANIFEST
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BlobError, match=message):
        guest_blobs.load("heartbeat", "x86_64", "long", folder)


def test_manifest_field_of_the_wrong_type_is_named(folder: Path) -> None:
    path = folder / guest_blobs.MANIFEST
    document = json.loads(path.read_text())
    document["blobs"][1]["size"] = True
    path.write_text(json.dumps(document))
    with pytest.raises(BlobError, match=r"Expected `int`, got `bool` - at `\$\.blobs\[1\]\.size`"):
        guest_blobs.manifest(folder)


def _own_map(architecture: str) -> dict[str, Any]:
    """What an architecture's memory map has besides the one of all."""
    name = f"guest_blobs.{architecture}.memory_map"
    if importlib.util.find_spec(name) is None:
        return {}
    return vars(importlib.import_module(name))


@pytest.mark.parametrize("architecture", known())
def test_memory_map_is_the_sources(architecture: str) -> None:
    text = (guest_blobs.FOLDER / architecture / "program.inc").read_text()
    defined = {
        name: int(number, 0)
        for name, number in re.findall(
            r"^#define[ \t]+([A-Z][A-Z0-9_]*)[ \t]+(0x[0-9a-f]+|\d+)\b", text, re.MULTILINE
        )
    }
    python = {
        name: value
        for name, value in (vars(memory_map) | _own_map(architecture)).items()
        if name.isupper() and isinstance(value, int)
    }
    # The number of words is in the source's comment only: no program needs it.
    assert python.pop("DATA_WORDS") == 28
    if architecture == "x86_64":  # whose programs speak by ports
        del python["SYNC_WORD"], python["DONE_WORD"]
        ports = {name: port for name, port in vars(devices).items() if name.startswith("PORT_")}
        assert len(ports) == 6
        python |= ports
    assert {name: defined.get(name) for name in python} == python


def test_data_word() -> None:
    assert memory_map.data_word(0) == memory_map.DATA
    assert memory_map.data_word(27) == memory_map.DATA + 8 * 27
    for index in (-1, 28):
        with pytest.raises(ValueError, match="words 0 to 27"):
            memory_map.data_word(index)


def test_rebuild_gives_the_committed_bytes(built: Path) -> None:
    assert build.differences(built, guest_blobs.FOLDER) == []


def test_build_does_not_depend_on_folder_or_environment(
    built: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "a folder with spaces" / "deeper"
    elsewhere.mkdir(parents=True)
    # Each would change what clang reads if it reached it.
    (elsewhere / "program.inc").write_text("#error wrong program.inc\n")
    monkeypatch.setenv("CPATH", str(elsewhere))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.chdir(elsewhere)
    out = elsewhere / "out"
    out.mkdir()
    build.build_all(out, folder)
    assert build.differences(out, built) == []


def test_differences_name_each_file(built: Path, folder: Path) -> None:
    x86 = folder / "x86_64"
    (x86 / "halt.real.bin").write_bytes(b"\x90")
    (x86 / "mmio.long.bin").unlink()
    (x86 / "stray.long.bin").write_bytes(b"\x90")
    found = build.differences(built, folder)
    assert [sentence.split(":")[0] for sentence in found] == [
        "x86_64/halt.real.bin",
        "x86_64/mmio.long.bin",
        "x86_64/stray.long.bin",
    ]
    assert hashlib.sha256(b"\x90").hexdigest() in found[0]


def test_command_compares_and_writes(
    built: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_all(out: Path) -> tuple[guest_blobs.Entry, ...]:
        shutil.copytree(built, out, dirs_exist_ok=True)
        return guest_blobs.manifest(out)

    monkeypatch.setattr(build, "build_all", build_all)
    monkeypatch.setattr(guest_blobs, "FOLDER", folder)
    runner = CliRunner()
    assert runner.invoke(blobs.blobs, []).exit_code == 0
    damaged = folder / "x86_64" / "steps.long.bin"
    damaged.write_bytes(b"\x90")
    (folder / "x86_64" / "stray.long.bin").write_bytes(b"\x90")
    result = runner.invoke(blobs.blobs, [])
    assert result.exit_code == 1
    assert "x86_64/steps.long.bin" in result.output
    assert "x86_64/stray.long.bin" in result.output
    assert damaged.read_bytes() == b"\x90", "a comparison must not write"
    assert runner.invoke(blobs.blobs, ["--write"]).exit_code == 0
    assert not (folder / "x86_64" / "stray.long.bin").exists()
    assert guest_blobs.load("steps", "x86_64", "long", folder).code


def test_command_without_tools_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(blobs.blobs, [])
    assert result.exit_code == 70
    assert "clang is not installed" in result.output
    assert "apt-get install clang lld llvm" in result.output


@pytest.mark.usefixtures("built")
def test_source_that_does_not_build_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "x86_64" / "heartbeat.S").write_text("\tnonsense\n")
    with pytest.raises(build.BlobBuildError, match=r"(?s)clang.* failed:.*heartbeat\.S"):
        build.build_all(tmp_path, folder)


def test_versioned_tools_are_found(tmp_path: Path) -> None:
    for name in ("clang-9", "clang-14", "clang-tidy-20", "clang-15.txt"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    assert build._find_tool("clang", str(tmp_path)) == str(tmp_path / "clang-14")
    (tmp_path / "clang").write_text("")
    (tmp_path / "clang").chmod(0o755)
    assert build._find_tool("clang", str(tmp_path)) == str(tmp_path / "clang")
