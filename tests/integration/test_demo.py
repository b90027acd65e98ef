"""scripts/demo and the whole of edge and cloud, as a user runs them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import free_port

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEMO = [sys.executable, str(ROOT / "scripts" / "lib" / "demo.py")]


MARK = f"MIEN_TEST_MARK={uuid.uuid4()}"
"""In the environment of every process that these tests start, so that others on this machine do not count."""


def processes() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if MARK.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | dict([MARK.split("=")])
    command = [*DEMO, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=ROOT, env=environment)


def stored(folder: Path, table: str) -> list[str]:
    (database,) = folder.rglob("*.sqlite*") if len(list(folder.rglob("*.sqlite*"))) == 1 else folder.rglob("*.sqlite")
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return [row[0] for row in connection.execute(f"SELECT id FROM {table}")]


@pytest.mark.slow
def test_once_gives_rows_and_leaves_nothing_running(sample: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.mp4"
    done = demo("--once", "--json", sample, missing)
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3
    assert all(row["gate"] in ("sure", "requested") for row in rows)
    for row in rows:
        if row["gate"] == "requested":
            assert row["verdict"] is not None or row["verdict_error"]
    assert sum(str(missing) in line for line in done.stderr.splitlines()) == 1
    assert "the live page is http://127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes() == []
    readings = stored(ROOT / ".demo", "readings")
    assert len(readings) == len(set(readings)) == 3


def test_once_on_real_clips_asks_the_cloud_and_is_answered(clips: list[Path]) -> None:
    done = demo("--once", "--json", *clips)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["clip"] for row in rows} == {str(clip) for clip in clips}
    asked = [row for row in rows if row["gate"] == "requested"]
    assert asked
    for row in asked:
        assert row["verdict"] is not None, row["verdict_error"]
        assert row["final"] == row["verdict"]
    readings, verdicts = stored(ROOT / ".demo", "readings"), stored(ROOT / ".demo", "verdicts")
    assert len(readings) == len(set(readings)) == len(rows)
    assert len(verdicts) == len(asked)


def test_a_taken_port_is_one_clear_line(sample: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo("--once", "--port", str(port), sample)
    assert done.returncode == 1
    first, reason = done.stderr.splitlines()
    assert first == "mien: the cloud did not start; it says:"
    assert str(port) in reason


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--prot"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert demo(*arguments).returncode == 2


@contextmanager
def cloud(folder: Path, broker_port: int) -> Iterator[subprocess.Popen[bytes]]:
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    command = [BIN / "mien-cloud", "serve", "--port", "0", "--broker-port", str(broker_port)]
    with subprocess.Popen([*command, "--data", folder / "store", "--ready-file", ready]) as process:
        until = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process
        process.terminate()


def wait_for_readings(folder: Path, count: int) -> None:
    until = time.monotonic() + 60
    while len(stored(folder, "readings")) < count and time.monotonic() < until:
        time.sleep(0.2)


@pytest.mark.slow
def test_a_cloud_that_dies_is_brought_back_and_all_ends_quickly(sample: Path) -> None:
    environment = os.environ | dict([MARK.split("=")])
    with subprocess.Popen(
        [*DEMO, "--json", sample], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        ready = json.loads((ROOT / ".demo" / "ready.json").read_text())
        os.kill(ready["pid"], signal.SIGKILL)
        for _ in range(3):
            running.stdout.readline()
        started = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, log = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "the cloud is started again" in log
    assert "is killed" not in log
    assert time.monotonic() - started < 10.0
    assert processes() == []


@pytest.mark.slow
def test_a_name_that_is_no_text_stops_nothing(sample: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9\n.mp4"
    with open(odd, "wb") as copy:  # noqa: PTH123 - a name that Path could not print
        copy.write(sample.read_bytes())
    done = demo("--once", "--json", os.fsdecode(odd), sample)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["clip"] for row in rows] == [os.fsdecode(odd)] * 3 + [str(sample)] * 3
    assert len(stored(ROOT / ".demo", "readings")) == 6


@pytest.mark.slow
def test_readings_survive_a_cloud_that_is_killed_and_comes_back(sample: Path, tmp_path: Path) -> None:
    port = free_port()
    edge_command = [BIN / "mien-edge", "-q", "replay", "--json", "--realtime", "--loop"]
    edge_command += ["--broker", f"mqtt://127.0.0.1:{port}", str(sample)]
    with cloud(tmp_path, port) as first:
        edge = subprocess.Popen(edge_command, stdout=subprocess.PIPE, text=True)
        assert edge.stdout is not None
        rows = [json.loads(edge.stdout.readline())]
        first.send_signal(signal.SIGKILL)
    rows += [json.loads(edge.stdout.readline()) for _ in range(2)]
    store = tmp_path / "store"
    with cloud(tmp_path, port):
        wait_for_readings(store, 4)  # the device tries again with growing pauses
        edge.send_signal(signal.SIGINT)
        rest, _ = edge.communicate(timeout=60)
        rows += [json.loads(line) for line in rest.splitlines()]
        wait_for_readings(store, len(rows))
    assert edge.returncode == 0
    readings = stored(store, "readings")
    assert len(readings) == len(set(readings)) == len(rows)
