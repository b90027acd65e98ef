"""A network camera that shows a portrait: MJPEG over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import cv2
from sample import moving_portrait


class Portrait(BaseHTTPRequestHandler):
    """Serves the moving portrait as MJPEG at 10 frames a second."""

    frames: ClassVar = [cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes() for image in moving_portrait()[:20]]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.stopping:
            frame = self.frames[number % len(self.frames)]
            try:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(frame))
                self.wfile.write(frame + b"\r\n")
            except OSError:
                return
            number += 1
            time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def camera(port: int = 0) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Portrait)
    server.daemon_threads = True
    server.stopping = False
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.stopping = True
        server.shutdown()
        server.server_close()
