"""The engine of many machines: the models as replicas of a Ray Serve deployment, which queues and batches.

Imported only where it is asked for: Ray is an extra (`scale`) and large. Every node needs Mien and the models' folder
at the same path. Evidence travels in Ray's memory; none of it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cloud.errors import ServeError
from cloud.inference.engine import BATCH_WAIT_S, MAX_BATCH, MAX_WAITING, Declined, Reason, Request
from cloud.inference.full import FullModels, Judgement
from edge.errors import BadMessage
from edge.protocol import Evidence

# Read when Ray is imported. Nothing is to call home, and replicas are to run as this service does: at Ray's niceness of
# 15 any other load on the machine comes before a verdict that has a deadline.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")

try:
    import ray
    from ray import serve
    from ray.serve.exceptions import BackPressureError
except ImportError as error:
    raise ServeError("--engine ray needs Ray", fix="pip install 'mien[scale]', or use --engine local.") from error

APPLICATION = "mien-inference"
START_CPUS = 2
"""Of the Ray that is started here: one for the replica, one for Serve's own parts."""

Answer = Judgement | tuple[Reason, str]


class Replica:
    """The models in one of Ray's processes."""

    def __init__(self, folder: str, threads: int) -> None:
        self._models = FullModels(Path(folder), threads=threads)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_WAIT_S)  # type: ignore[untyped-decorator]
    async def judge(self, batch: list[tuple[Evidence, float]]) -> list[Answer]:
        """Return an answer for each (evidence, deadline in Unix seconds); what is too late is left out before."""
        now = time.time()
        in_time = [evidence for evidence, deadline in batch if now <= deadline]
        judged = iter(await asyncio.to_thread(self._models.judge_all, in_time) if in_time else [])
        return [_answer(next(judged)) if now <= deadline else _STALE for _, deadline in batch]


class RayEngine:
    """Runs the models in a Ray cluster, or in a Ray that it starts on this machine where `address` is None.

    In a cluster that was there before, the deployment outlives this service, and its next start updates it. Deadlines
    cross machines as Unix time, so the machines' clocks must agree. Raises ModelError as FullModels does, ServeError
    if Ray cannot be used.
    """

    def __init__(
        self, folder: Path, *, threads: int = 1, replicas: int = 1, max_waiting: int = MAX_WAITING, address: str | None
    ) -> None:
        self._inputs = FullModels(folder, threads=threads).inputs  # and a bad folder shows here, not in a replica's log
        self._is_own = address is None
        self._max_waiting = max_waiting
        deployment = serve.deployment(
            Replica,
            name="models",
            num_replicas=replicas,
            max_ongoing_requests=MAX_BATCH,
            max_queued_requests=max_waiting,
            ray_actor_options={"num_cpus": threads if address else 1},
        )
        app = deployment.bind(str(folder.resolve()), threads)
        # A thread that lives as long as the engine. Not the main one, whose handlers of signals Ray would replace; and
        # not a passing one: the kernel ends Ray's processes (PR_SET_PDEATHSIG) with the thread that started them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ray")
        try:
            self._handle: Any = self._thread.submit(_start, address, app).result()
        except Exception as error:
            self.close()
            raise ServeError(f"Ray Serve cannot be used: {error}", fix="See Ray's logs.") from error

    @property
    def inputs(self) -> dict[str, str]:
        """What the model of each task takes."""
        return self._inputs

    async def infer(self, request: Request) -> Judgement:
        """Return the judgement. Raises Declined; see `Engine`."""
        left_s = request.deadline - time.monotonic()
        if left_s <= 0.0:
            raise Declined("stale", "its deadline passed before it was sent")
        response = self._handle.judge.remote((request.evidence, time.time() + left_s))
        try:
            # What has not begun when the time is up is cancelled, and never runs.
            answer: Answer = await asyncio.wait_for(response, left_s)
        except TimeoutError:
            response.cancel()
            raise Declined("stale", "its deadline passed in Ray") from None
        except BackPressureError:
            raise Declined("busy", f"{self._max_waiting} requests wait already") from None
        except ray.exceptions.RayError as error:
            raise Declined("failed", f"Ray: {error}") from error
        if isinstance(answer, Judgement):
            return answer
        raise Declined(*answer)

    async def run(self) -> None:
        """Wait until cancelled: Ray does the work, and restarts replicas that end."""
        await asyncio.Event().wait()

    def close(self) -> None:
        """Stop a Ray that was started here; leave a cluster to itself."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._thread.submit(_stop, self._is_own).result()
        self._thread.shutdown()


def _start(address: str | None, app: Any) -> Any:
    if address is None:
        # On the loopback interface only: nobody else is to find a Ray that runs whatever it is told to.
        ray.init(num_cpus=START_CPUS, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    else:
        ray.init(address=address, log_to_driver=False)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # a line for each refusal, which the service counts itself
    serve.start(proxy_location="Disabled")  # requests come by MQTT; no port for HTTP
    return serve.run(app, name=APPLICATION, route_prefix=None)


def _stop(is_own: bool) -> None:
    if is_own and ray.is_initialized():
        serve.shutdown()
    ray.shutdown()


_STALE: Answer = ("stale", "its deadline passed in the queue")


def _answer(judged: Judgement | BadMessage) -> Answer:
    return ("malformed", str(judged)) if isinstance(judged, BadMessage) else judged
