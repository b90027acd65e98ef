"""The command `mien-cloud`."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from edge import __version__
from edge.errors import ConfigError, MienError

MODELS = Path(__file__).parent / "models"

EPILOG = """\
examples:
  mien-cloud serve
      everything on this machine: broker, store, models and the page at http://127.0.0.1:8080
  mien-cloud serve --broker mqtt://mien:secret@broker.example:1883 --data /var/lib/mien
      with a broker of your own (MQTT 5, else 3.1.1)
  mien-cloud serve --port 0 --ready-file ready.json
      on free ports; ready.json says which: {"web": ..., "broker": ..., "pid": ...}

Stop it with Ctrl-C or SIGTERM: it answers what it has in hand, tells the devices, and exits 0.
There are no accounts yet: whoever reaches the page may read everything on it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status. Errors are one line on stderr."""
    options = _parser().parse_args(argv)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="mien-cloud: %(levelname)s %(name)s: %(message)s")
    try:
        return _serve(options)
    except MienError as error:
        sys.stderr.write(f"mien-cloud: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien-cloud",
        description="Mien's cloud: stores readings, answers devices that are unsure, shows a live page.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mien-cloud {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run broker, ingest, store, models and page in one process",
        description="Run broker, ingest, store, models and page in one process.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--port", type=_port, default=8080, metavar="N", help="of the page; 0: a free one (8080)")
    serve.add_argument("--host", default="127.0.0.1", help="address of the page (127.0.0.1)")
    serve.add_argument(
        "--insecure-no-accounts",
        action="store_true",
        help="let --host be reachable from other machines, although nobody is asked for a password",
    )
    serve.add_argument("--broker", metavar="URL", help="mqtt://[user:password@]host[:port] instead of the embedded one")
    serve.add_argument(
        "--broker-port", type=_port, default=0, metavar="N", help="of the embedded broker; 0: a free one (0)"
    )
    serve.add_argument("--data", type=Path, default=Path("mien-data"), metavar="DIR", help="the store (./mien-data)")
    serve.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="the full-size models (Mien's own)")
    serve.add_argument("--threads", type=int, choices=(1, 2, 4, 8), default=1, help="for the models (1)")
    serve.add_argument("--no-worker", action="store_true", help="store and show only; do not answer devices")
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="write the addresses there once all is up")
    serve.add_argument("--verbose", action="store_true", help="say more on stderr")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port")
    return port


def _check_host(host: str, *, insecure: bool) -> None:
    """Raise ConfigError unless only this machine can reach `host`, or that is said to be wanted."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigError(f"--host {host!r} is no address", fix="Give an IP address, e.g. 127.0.0.1.") from error
    if not is_loopback and not insecure:
        fix = "Keep to 127.0.0.1 and a tunnel (ssh -L 8080:127.0.0.1:8080 ...), or add --insecure-no-accounts."
        raise ConfigError(f"--host {host} would let everyone there read everything: there are no accounts yet", fix=fix)


def _serve(arguments: argparse.Namespace) -> int:
    from cloud.serve import Options, serve  # late: --help need not wait for the models' runtime

    _check_host(arguments.host, insecure=arguments.insecure_no_accounts)
    options = Options(
        data=arguments.data,
        models=arguments.models,
        host="127.0.0.1" if arguments.host == "localhost" else arguments.host,
        port=arguments.port,
        broker=arguments.broker,
        broker_port=arguments.broker_port,
        worker=not arguments.no_worker,
        threads=arguments.threads,
        ready_file=arguments.ready_file,
    )
    asyncio.run(serve(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
