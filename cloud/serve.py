"""`mien-cloud serve`: broker, ingest, worker and web in one process, started and stopped in order.

Everything shares one event loop; the store and the models work in a thread each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import aiomqtt
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from cloud.alerts.senders import Mail, has_sns
from cloud.alerts.service import alerting
from cloud.alerts.watch import AlertWatch
from cloud.api import Services, create_app
from cloud.arrivals import Arrival
from cloud.broker import CLOUD_USER, HOST, EmbeddedBroker
from cloud.commands import Commands
from cloud.counters import Counters
from cloud.errors import ServeError
from cloud.gate import IngestGate
from cloud.heartbeat import Heartbeat
from cloud.ingest import Ingest
from cloud.leaving import end_within
from cloud.link import (
    INGEST_FILTERS,
    INGEST_ID,
    STATE_FILTERS,
    AckingClient,
    BrokerAddress,
    feed_ingest,
    keep_connected,
    parse_address,
    probe,
)
from cloud.live import Live
from cloud.purge_job import purging
from cloud.store import Database, known_sites
from cloud.web import listening_socket, url_of, web

if TYPE_CHECKING:
    from cloud.analyse.jobs import Analyses
    from cloud.inference import Engine
    from cloud.tls import TlsFiles
    from cloud.workplace import Workplace

log = logging.getLogger(__name__)

OWN_TEXT_MODELS = Path(__file__).parent / "models" / "text"
PURGE_EVERY_S = 300.0
STOP_GRACE_S = 3.0
"""Seconds that requests in hand have to be answered when the service stops."""


@dataclass(frozen=True)
class Options:
    """What `mien-cloud serve` was asked for; see its --help."""

    data: Path
    models: Path
    host: str = "127.0.0.1"
    port: int = 8080
    broker: str | None = None
    broker_port: int = 0
    broker_ca: Path | None = None
    """Authorities that vouch for a broker with TLS; None: the system's."""
    worker: bool = True
    threads: int = 1
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    ready_file: Path | None = None
    database: str | None = None
    """Address of a PostgreSQL database; None: SQLite in `data`."""
    accounts: bool = True
    open_registration: bool = False
    tls: TlsFiles | None = None
    behind_proxy: bool = False
    """Whether a proxy in front speaks https and says where requests come from."""
    mail: Mail | None = None
    """The server by which alerts are mailed."""
    detector: Path | None = None
    """YuNet's weights, for what people upload; None: OpenCV's Haar cascade."""
    max_upload_mb: int = 200
    max_minutes: float = 10.0
    """Of sound and video that people upload."""
    names: tuple[str, ...] = ()
    """By which browsers reach the page, besides addresses and this machine's own names."""


async def serve(options: Options, *, on_stopping: Callable[[], None] = lambda: None) -> None:
    """Run until SIGTERM or SIGINT, then call `on_stopping` and end. Raises MienError if the service cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(options) as service:
        if options.ready_file is not None:
            service.write_ready_file(options.ready_file)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, *service.vital}, return_when=asyncio.FIRST_COMPLETED)
        for task in service.vital:
            if task.done():
                task.result()  # a part that ended by itself has failed: better to end loudly than to live on in part
        log.info("stopping")
        on_stopping()


@dataclass(frozen=True)
class Service:
    """A running service."""

    web_url: str
    broker: BrokerAddress
    vital: frozenset[asyncio.Task[None]]
    """Run for as long as the service does."""

    def write_ready_file(self, path: Path) -> None:
        """Write where the service is, in one step: whoever sees the file sees all of it. Raises ServeError."""
        facts = {"web": self.web_url, "broker": str(self.broker), "pid": os.getpid()}
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            partial.write_text(json.dumps(facts) + "\n")
            partial.replace(path)
        except OSError as error:
            raise ServeError(
                f"{path} cannot be written: {error.strerror}", fix="Choose another --ready-file."
            ) from error


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Service]:
    """Start everything, yield, stop everything in the reverse order. Raises MienError if a part cannot start."""
    # What can be wrong is tried first, before anything is started that would have to be stopped again.
    address = None if options.broker is None else await probe(parse_address(options.broker, options.broker_ca))
    counters = Counters()
    engine = await asyncio.to_thread(_start_engine, options, counters)
    async with AsyncExitStack() as stack:
        if engine is not None:
            stack.callback(engine.close)
        web_socket = stack.enter_context(listening_socket(options.host, options.port))
        database = stack.enter_context(contextlib.closing(Database(options.data, options.database)))
        live = Live()
        vital: set[asyncio.Task[None]] = set()
        heartbeat = Heartbeat(known_sites(database.engine))
        workplace: Workplace | None = None
        watch = AlertWatch(database.engine)

        def on_stored(arrival: Arrival) -> None:
            live.publish(arrival)
            heartbeat.notice(arrival)
            watch.notice(arrival)

        ingest = Ingest(database.engine, counters, on_stored=on_stored)
        await stack.enter_async_context(_ingesting(ingest, vital))
        own = await stack.enter_async_context(_broker(options, address, ingest, counters))
        filters = STATE_FILTERS if address is None else INGEST_FILTERS
        await stack.enter_async_context(_listening_to_broker(own, ingest, filters, vital))
        if engine is not None:
            from cloud.workplace import Workplace

            workplace = Workplace(own, engine, counters, ingest, heartbeat=heartbeat, session=database.starts)
            await stack.enter_async_context(workplace.open(STOP_GRACE_S, vital))

        analyses = await _analyses(options, database, stack) if options.worker else None

        def checks() -> dict[str, bool]:
            return {"store": ingest.healthy, "worker": workplace is None or workplace.connected}

        await stack.enter_async_context(purging(database.engine, vital))
        await stack.enter_async_context(alerting(database.engine, watch, own, counters, options.mail, vital))
        commands = Commands(own, counters, session=database.starts)
        await stack.enter_async_context(commands.open(STOP_GRACE_S, vital))
        app = create_app(
            Services(
                engine=database.engine,
                live=live,
                counters=counters,
                checks=checks,
                broker=str(own),
                accounts=options.accounts,
                open_registration=options.open_registration,
                analyses=analyses,
                commands=commands,
                secure=options.tls is not None or options.behind_proxy,
                names=frozenset(options.names),
                alert_channels=_alert_channels(options),
            )
        )
        await stack.enter_async_context(
            web(app, web_socket, live, vital, tls=options.tls, behind_proxy=options.behind_proxy)
        )
        yield Service(
            url_of(web_socket, https=options.tls is not None),
            replace(own, username=None, password=None),
            frozenset(vital),
        )


def _alert_channels(options: Options) -> frozenset[str]:
    """Return the ways by which alerts can be told."""
    ways = {"webhook": True, "mail": options.mail is not None, "sns": has_sns()}
    return frozenset(name for name, there in ways.items() if there)


def _start_engine(options: Options, counters: Counters) -> Engine | None:
    """Return what runs the models. Raises ModelError, ServeError."""
    if not options.worker:
        return None

    def count(size: int) -> None:
        counters.add("offload.batches")
        counters.add("offload.batched", size)
        # 1, 2, 3-4, 5-8, 9-16, ... by their upper ends.
        counters.add(f"offload.batches.to_{1 << (size - 1).bit_length():02d}")

    # Late: who only stores and shows need not load the models' runtime, and who has one machine no Ray.
    if options.engine == "ray":
        from cloud.inference.ray_serve import RayEngine

        return RayEngine(options.models, threads=options.threads, address=options.ray_address)
    from cloud.inference import FullModels, LocalEngine

    return LocalEngine(FullModels(options.models, threads=options.threads), on_batch=count)


async def _analyses(options: Options, database: Database, stack: AsyncExitStack) -> Analyses:
    """Return what analyses uploads, which ends with the stack. Raises ModelError if the detector is none."""
    from cloud.analyse.files import Files
    from cloud.analyse.jobs import Analyses
    from cloud.analyse.limits import MEGA, Limits
    from cloud.analyse.records import Records
    from edge.perception.detect import open_detector

    open_detector(options.detector)
    text = options.models / "text"
    analyses = Analyses(
        Records(database.engine),
        Files(options.data),
        options.models,
        text if text.is_dir() else OWN_TEXT_MODELS,
        detector=options.detector,
        limits=Limits(max_bytes=options.max_upload_mb * MEGA, max_duration_s=options.max_minutes * 60.0),
    )
    stack.push_async_callback(lambda: end_within(asyncio.to_thread(analyses.close), "analyses"))
    purging = asyncio.create_task(_purging(analyses))
    stack.callback(purging.cancel)
    return analyses


async def _purging(analyses: Analyses) -> None:
    while True:
        await asyncio.sleep(PURGE_EVERY_S)
        try:
            await asyncio.to_thread(analyses.purge)
        except SQLAlchemyError:  # a database that is away comes back; what has expired can wait for it
            log.exception("what has expired could not be deleted")


@asynccontextmanager
async def _ingesting(ingest: Ingest, vital: set[asyncio.Task[None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(ingest.run())
    vital.add(task)
    try:
        yield
    finally:
        ingest.stop()
        # A store that cannot be written is retried for ever, and nothing unstored was acknowledged.
        await end_within(task, "ingest", STOP_GRACE_S)
        ingest.close()


@asynccontextmanager
async def _broker(
    options: Options, address: BrokerAddress | None, ingest: Ingest, counters: Counters
) -> AsyncIterator[BrokerAddress]:
    """Yield the address at which the service's own clients connect: the given broker, or an embedded one."""
    if address is not None:
        yield address
        return
    broker = EmbeddedBroker(IngestGate(ingest, counters))
    await broker.start(options.broker_port)
    try:
        yield BrokerAddress(HOST, broker.port, CLOUD_USER, broker.secret, aiomqtt.ProtocolVersion.V311)
    finally:
        await broker.stop()


@asynccontextmanager
async def _listening_to_broker(
    address: BrokerAddress, ingest: Ingest, filters: tuple[str, ...], vital: set[asyncio.Task[None]]
) -> AsyncIterator[None]:
    """Feed ingest from the broker, as a client whose session outlives it where the broker is a real one."""
    subscribed = asyncio.Event()
    identifier = INGEST_ID if address.shares else f"{INGEST_ID}-{ULID()}"

    def connect() -> AckingClient:
        return AckingClient(address, identifier, keep_session=address.shares)

    async def use(client: AckingClient) -> None:
        await feed_ingest(client, ingest, filters, subscribed)

    task = asyncio.create_task(keep_connected(connect, use, name="ingest"))
    vital.add(task)
    try:
        await _either(task, subscribed)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _either(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Wait for the event, or raise what ended the task before."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
