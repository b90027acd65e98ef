"""`mien-edge` with a camera that hangs for ever in its driver while the file named by $HANG exists. For tests only."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from edge import cli, supervise
from edge.capture.fakes import FakeCamera
from edge.commands import run


class HangingCamera(FakeCamera):
    """Reads return after their time, as promised, until there is the file; then none returns any more."""

    def __init__(self) -> None:
        super().__init__([], realtime=True)
        self.hang()

    def read(self, timeout_s: float) -> None:
        if Path(os.environ["HANG"]).exists():
            threading.Event().wait()
        super().read(timeout_s)


supervise.READ_LIMIT_S = supervise.READ_TIMEOUT_S + 4.0  # to be waited for
run._camera = lambda config: HangingCamera
sys.exit(cli.main(sys.argv[1:]))
