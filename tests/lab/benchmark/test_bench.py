# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark: its statistics, batches and bounds, and the command `kvm-conformance bench`."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import signs
from harness.host import description, obstacles
from harness.kvm import arch
from harness.kvm.speech import Speech
from lab.benchmark import cases, measurement
from lab.benchmark.measurement import Batch, Bench, BenchSettings, CannotMeasureError, ThreadTimes
from lab.benchmark.results import BenchResults, mask_sentences
from lab.benchmark.statistics import difference, estimate, ratio, summarize
from tests.lab.benchmark import bare_loop
from tools import bench as command
from tools.cli import main
from tools.screen import bench as bench_report

ROOT = Path(__file__).resolve().parents[3]
QUICK = ["--rounds", "2", "--batch-time", "1"]

needs_kvm = pytest.mark.skipif(
    obstacles.preflight() is not None, reason="there is no KVM to measure"
)


# ---- statistics


def test_summary() -> None:
    found = summarize([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.count, found.minimum, found.median, found.mad) == (5, 1, 3, 1)
    assert (found.lower_quartile, found.upper_quartile) == (2, 4)
    one = summarize([7.0])
    assert (one.lower_quartile, one.upper_quartile, one.mad) == (7, 7, 0)
    with pytest.raises(ValueError):
        summarize([])


@pytest.mark.parametrize(("count", "rank"), [(1, 0), (5, 0), (6, 1), (10, 2), (20, 6), (30, 10)])
def test_interval_is_that_of_the_sign_test(count: int, rank: int) -> None:
    """The ranks of the tables, as in Conover, Practical Nonparametric Statistics."""
    found = estimate([float(value) for value in range(1, count + 1)])
    assert found.median == (count + 1) / 2
    expected = (float(rank), float(count + 1 - rank)) if rank else (None, None)
    assert (found.low, found.high) == expected


def test_interval_of_many_values() -> None:
    found = estimate([float(value) for value in range(10_000)])
    assert found.low == pytest.approx(4901, abs=2)


def test_pairs_are_of_one_round() -> None:
    above, below = {0: 20.0, 1: 60.0, 2: 5.0}, {0: 10.0, 1: 20.0, 3: 1.0}
    found, distance = ratio(above, below), difference(above, below)
    assert found is not None
    assert distance is not None
    assert (found.count, found.median, distance.median) == (2, 2.5, 25)
    assert ratio({0: 1.0}, {1: 1.0}) is None


# ---- order and results

CASES = cases.cases(Speech("port_io", "KVM_EXIT_IO", "pio", "port I/O"), capability=True)


def test_order_changes_by_round() -> None:
    rounds = [measurement.schedule(CASES, (1, 2), number) for number in range(24)]
    assert all(len(order) == len(set(order)) == 12 for order in rounds)
    assert {order[0] for order in rounds} == set(rounds[0])
    pair = [(case, 1) for case in CASES[:2]]
    first = [order.index(pair[0]) < order.index(pair[1]) for order in rounds]
    assert 8 <= sum(first) <= 16, "each of two cases comes first in about half of the rounds"


def batch(case: str, threads: int, number: int, ns: float, problem: str = "") -> Batch:
    times = (ThreadTimes(1000, int(ns * 1000), int(ns * 1000), True),) * threads
    return Batch(case, threads, number, times, problem)


def results(prices: Sequence[tuple[int, float]], rounds: int = 20) -> BenchResults:
    """Every case at 100 ns, masked ones at 100 ns + a price by threads, with a little noise."""
    found = BenchResults(BenchSettings(tuple(one for one, _ in prices), rounds), CASES)
    for number in range(rounds):
        for threads, price in prices:
            for case in CASES:
                ns = 100 + number % 5 + (price + number % 3 if case.masked else 0)
                found.take(batch(case.name, threads, number, ns))
    found.complete = True
    return found


def test_sentences_say_what_the_mask_costs() -> None:
    first, second = mask_sentences(results([(1, 50.0), (2, 90.0)]))
    assert "1 thread: +51 ns (+50 to +52)" in first
    assert "2 threads: +91 ns" in first
    assert first.endswith(
        "It grows with the threads, as the price of one lock for all of them does."
    )
    assert "exits on port I/O" in second


def test_sentences_keep_to_what_the_run_can_tell() -> None:
    assert "cannot" not in mask_sentences(results([(1, -1.0)]))[0]
    assert "nothing that this run can tell" in mask_sentences(results([(1, -1.0)]))[0]
    assert "no growth shows" in mask_sentences(results([(1, 50.0), (2, 50.0)]))[0]
    assert "falls" in mask_sentences(results([(1, 90.0), (2, 50.0)]))[0]
    assert "too few rounds" in mask_sentences(results([(1, 50.0)], rounds=3))[0]


def test_invalid_batches_are_left_out_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = results([(1, 50.0)])
    found.take(batch("pio", 1, 99, 1.0, "call 7 returned -1 with EINTR, not 0 with KVM_EXIT_IO"))
    summary = found.summary("pio", 1)
    assert summary is not None
    assert summary.minimum == 100
    bench_report.show(found, "host", bench_report.console())
    text = " ".join(capsys.readouterr().out.split())
    assert "1 invalid batch of pio with 1 thread" in text
    assert "call 7 returned -1 with EINTR" in text


def test_nothing_measured_yet(capsys: pytest.CaptureFixture[str]) -> None:
    found = BenchResults(BenchSettings((1, 2), 5), CASES)
    bench_report.show(found, "host", bench_report.console())
    assert "0 rounds of 5, stopped early" in capsys.readouterr().out
    assert json.dumps(found.document({}))
    assert len(found.without_result()) == 12


def test_without_the_capability() -> None:
    known = cases.cases(Speech("mmio", "KVM_EXIT_MMIO", "mmio", "MMIO"), capability=False)
    assert [case.name for case in known] == ["mmio", "mmio+mask", "einval", "getppid"]


# ---- batches


def case_named(name: str) -> cases.Case:
    return next(case for case in CASES if case.name == name)


@needs_kvm
@pytest.mark.parametrize("mode", ["real", "long"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_case_makes_calls(mode: str, threads: int) -> None:
    """Three threads have a processor by turns here and there, so the batch is long enough."""
    with Bench(
        BenchSettings((threads,), batch_s=0.002 if threads == 1 else 0.1, mode=mode)
    ) as bench:
        for case in bench.cases:
            found = bench.run(case, threads)
            assert found.problem == ""
            assert len(found.times) == threads
            assert all(one.calls and one.elapsed_ns for one in found.times)
            assert 0 < found.cpu_share <= 1


@needs_kvm
def test_a_batch_leaves_nothing() -> None:
    def fds() -> list[str]:
        return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())

    before, mask, cpus = fds(), signal.pthread_sigmask(0, ()), os.sched_getaffinity(0)
    threads = len(list(Path("/proc/self/task").iterdir()))
    with Bench(BenchSettings((2,), batch_s=0.001)) as bench:
        for case in bench.cases:
            bench.run(case, 2)
    assert fds() == before
    assert len(list(Path("/proc/self/task").iterdir())) == threads
    assert signal.pthread_sigmask(0, ()) == mask
    assert os.sched_getaffinity(0) == cpus


@needs_kvm
def test_an_unexpected_result_makes_the_batch_invalid() -> None:
    with Bench(BenchSettings((1,), batch_s=0.01)) as bench:
        bench.workload = dataclasses.replace(bench.workload, exit_reason="KVM_EXIT_HLT")
        found = bench.run(case_named("pio"), 1)
    assert found.problem == "thread 0: call 1 returned 0 with KVM_EXIT_IO, not 0 with KVM_EXIT_HLT"
    assert not found.hung


def hanging(**changes: object) -> Bench:
    """A benchmark whose guest never leaves by itself."""
    bench = Bench(BenchSettings((2,), batch_s=0.001, patience_s=0.05, signal_after_s=0.1))
    for guest in bench._guests:
        guest.load("heartbeat", arch.current().MODES[-1])
        for name, value in changes.items():
            setattr(guest.vcpu.bounds, name, value)
    return bench


@needs_kvm
@pytest.mark.parametrize("mask", ["", "+mask"])
@pytest.mark.parametrize("bounds", [{}, {"stop": None}], ids=["stop_word", "signal"])
def test_a_hang_is_bounded(mask: str, bounds: dict[str, object]) -> None:
    began = time.monotonic()
    handler = signal.getsignal(signal.SIGRTMAX - 3)
    with hanging(**bounds) as bench:
        for guest in bench._guests:
            if guest.vcpu.bounds.stop is None:
                guest.vcpu.bounds.stop = measurement.ffi.NULL
        found = bench.run(case_named(f"pio{mask}"), 2)
    assert found.hung
    assert "did not end by itself within 0.05 s" in found.problem
    assert time.monotonic() - began < 5
    assert signal.getsignal(signal.SIGRTMAX - 3) == handler


@needs_kvm
def test_a_hang_ends_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "Bench", lambda _settings: hanging())
    assert main(["bench", "--threads", "2", *QUICK]) == 70
    captured = capsys.readouterr()
    assert "did not end by itself" in captured.err
    assert "stopped early" in captured.out


@needs_kvm
def test_threads_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def __getattr__(self, name: str) -> object:
            if name == "ke_bench":
                return lambda *_: -errno.EAGAIN
            return getattr(real, name)

    real = measurement.lib
    with Bench(BenchSettings((1,))) as bench:
        monkeypatch.setattr(measurement, "lib", Refuses())
        with pytest.raises(CannotMeasureError, match="fewer --threads"):
            bench.run(CASES[0], 1)


# ---- the command


@pytest.mark.parametrize(
    ("text", "cpus", "expected"),
    [
        ("doubling", 1, (1,)),
        ("doubling", 2, (1, 2)),
        ("doubling", 6, (1, 2, 4, 6)),
        ("doubling", 8, (1, 2, 4, 8)),
        ("max", 6, (6,)),
        ("3, 1,max,3", 6, (1, 3, 6)),
    ],
)
def test_thread_counts(text: str, cpus: int, expected: tuple[int, ...]) -> None:
    assert command.thread_counts(text, cpus) == expected


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--threads", "0"], "'0' is neither a number from 1 on nor 'max'"),
        (["--threads", "-1"], "'-1' is neither"),
        (["--threads", "1,,2"], "'' is neither"),
        (["--threads", "two"], "'two' is neither"),
        (["--threads", "²"], "'²' is neither"),
        (["--rounds", "0"], "--rounds"),
        (["--batch-time", "0"], "--batch-time"),
        (["--mode", "virtual"], "'virtual' is not one of"),
        (["--thread", "1"], "No such option"),
        (["more"], "unexpected extra argument"),
    ],
)
def test_wrong_usage(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 64
    assert why in " ".join(capsys.readouterr().err.split())


@needs_kvm
def test_more_threads_than_a_guest_has_vcpus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--threads", str(10**9)]) == 64
    assert "KVM_CAP_MAX_VCPUS" in capsys.readouterr().err


def test_no_kvm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    obstacle = obstacles.Obstacle("no_kvm", "There is no /dev/kvm.", "Load the module.")
    monkeypatch.setattr(obstacles, "preflight", lambda: obstacle)
    assert main(["bench"]) == 4
    assert "Error: There is no /dev/kvm. Load the module." in capsys.readouterr().err


@needs_kvm
@pytest.mark.parametrize("below", ["none/out.json", "file/out.json", "folder", "/proc/out.json"])
def test_output_that_cannot_be_written(
    tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert main(["bench", "--output", str(tmp_path / below), *QUICK]) == 73
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert captured.out == "", "told before anything was measured"


@needs_kvm
def test_what_was_there_stays_where_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_settings: BenchSettings) -> None:
        raise CannotMeasureError("no guest")

    monkeypatch.setattr(command, "Bench", refuse)
    output = tmp_path / "out.json"
    output.write_text("an earlier one")
    assert main(["bench", "--output", str(output), *QUICK]) == 70
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert output.read_text() == "an earlier one"


@needs_kvm
def test_tables_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.json"
    assert main(["bench", "--threads", "1,2", "--output", str(output), *QUICK]) == 0
    text = capsys.readouterr().out
    assert text.startswith(description.describe().headline())
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "460df4c1fc7c" in text
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    found = json.loads(output.read_text())
    assert found["complete"] is True
    assert found["host"]["kernel"] == os.uname().release
    assert len(found["batches"]) == 2 * 2 * 6
    assert {one["case"] for one in found["summaries"]} == {case.name for case in CASES}


@needs_kvm
def test_json_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--threads", "1", "--json", *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1


@needs_kvm
def test_bench_without_a_terminal_gives_signs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signs, "EVERY_S", 0.0)
    assert main(["bench", "--threads", "1", *QUICK]) == 0
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"  \.\.\. 0 s: measuring, 1 of (\d+) batches", said[0])


@needs_kvm
def test_a_reader_that_has_seen_enough() -> None:
    """`kvm-conformance bench | head -1`."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "tools.cli", "bench", *QUICK],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    said = "Error: standard output cannot be written: Broken pipe.\n"
    assert (done.returncode, done.stderr) == (73, said)


@needs_kvm
@pytest.mark.parametrize("arguments", [["--json"], []])
def test_a_full_disk(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tools.cli", "bench", *QUICK, *arguments],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 73
    assert "standard output cannot be written: No space left on device" in done.stderr


@needs_kvm
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """What was measured so far is printed and written; the rest is not waited for."""
    output = tmp_path / "out.json"
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "bench", "--rounds", "10000", "--output", output],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for_threads(child)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == code, err
    assert "stopped early" in out
    assert err == ""
    assert json.loads(output.read_text())["complete"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def _wait_for_threads(child: subprocess.Popen[str]) -> None:
    """Until a batch is under way."""
    end = time.monotonic() + 30
    while time.monotonic() < end and child.poll() is None:
        if len(list(Path(f"/proc/{child.pid}/task").iterdir())) > 1:
            return
        time.sleep(0.01)
    pytest.fail("no batch began")


# ---- against a bare loop


@needs_kvm
@pytest.mark.skipif(bare_loop.compiler() is None, reason="there is no C compiler")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the bare loop is for x86-64")
def test_batches_keep_the_rate_of_a_bare_loop(tmp_path: Path) -> None:
    """Refuted only by an interval below the wanted share: other tests make noise meanwhile."""
    found = bare_loop.compare(bare_loop.build(tmp_path), rounds=12, milliseconds=10)
    for kind, share in found.items():
        assert share.processor.high is not None
        assert share.processor.high >= bare_loop.WANTED, f"{kind}: {share}"
