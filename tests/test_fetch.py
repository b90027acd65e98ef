"""`mien-edge models fetch` against a real HTTP server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edge.cli import main
from edge.perception.detect import YUNET_SHA256
from edge.perception.fetched import YUNET_FILE


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing when a client hangs up on too large a file: its own message is what counts."""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    with Server(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def fetch(url: str, folder: Path) -> int:
    return main(["models", "fetch", "--url", url, "--folder", str(folder)])


def test_the_right_file_is_put_in_its_place(yunet: Path, tmp_path: Path) -> None:
    with server(yunet.parent) as url:
        assert fetch(f"{url}/{yunet.name}", tmp_path / "new") == 0
    content = (tmp_path / "new" / YUNET_FILE).read_bytes()
    assert hashlib.sha256(content).hexdigest() == YUNET_SHA256


@pytest.mark.parametrize("name", ["other.onnx", "missing.onnx", "huge.onnx"])
def test_another_file_leaves_nothing_behind(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served, target = tmp_path / "served", tmp_path / "target"
    served.mkdir()
    (served / "other.onnx").write_bytes(b"not a model")
    (served / "huge.onnx").write_bytes(bytes(3 << 20))
    with server(served) as url:
        assert fetch(f"{url}/{name}", target) == 1
    assert not target.exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("mien-edge: http://127.0.0.1")


def test_an_unreachable_server_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("http://127.0.0.1:9/x.onnx", tmp_path) == 1
    assert "MIEN__FACE__DETECTOR_MODEL" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(
    yunet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with server(yunet.parent) as url:
        assert fetch(f"{url}/{yunet.name}", tmp_path / "file") == 1
    assert "--folder" in capsys.readouterr().err
