"""The command `mien-cloud`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import ipaddress
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloud import broker_command, privacy_command, text_command
from cloud.logs import set_up
from edge import __version__
from edge.errors import ConfigError, MienError
from edge.perception.fetched import yunet_weights

if TYPE_CHECKING:
    from cloud.tls import TlsFiles

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name

MODELS = Path(__file__).parent / "models"

EPILOG = """\
examples:
  mien-cloud serve
      everything on this machine: broker, store, models and the page at http://127.0.0.1:8080
  mien-cloud serve --broker mqtt://mien:secret@broker.example:1883 --data /var/lib/mien
      with a broker of your own (MQTT 5, else 3.1.1)
  mien-cloud serve --port 0 --ready-file ready.json
      on free ports; ready.json says which: {"web": ..., "broker": ..., "pid": ...}
  mien-cloud text "I can't believe you did that!"
      the emotion of a text, with VADER's polarity beside it

Stop `serve` with Ctrl-C or SIGTERM: it answers what it has in hand, tells the devices, and exits 0.
Nobody gets in before `mien-cloud admin create ada` has made the first account; or, on a machine of your own, with
--no-accounts: then whoever can log in to this machine may see everything.
"""

ADMIN_EPILOG = """\
examples:
  mien-cloud admin create ada
      asks for a password, twice; ada is admin of all sites
  mien-cloud admin create ada --data /var/lib/mien < password.txt
      the password is the first line of the standard input
  mien-cloud admin password ada
      a new password for who forgot it; ends all of ada's sessions
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status. Errors are one line on stderr."""
    options = _parser().parse_args(argv)
    set_up(verbose=options.verbose, as_json=getattr(options, "log_json", False))
    try:
        return int(options.run(options))
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
        "--no-accounts",
        action="store_true",
        help="ask nobody for a password: for a machine of your own; --host must be this machine",
    )
    serve.add_argument(
        "--open-registration",
        action="store_true",
        help="let people ask for an account, which an admin then has to approve; else it takes an invitation",
    )
    _add_tls_options(serve)
    serve.add_argument(
        "--broker", metavar="URL", help="mqtt[s]://[user:password@]host[:port] instead of the embedded one"
    )
    serve.add_argument(
        "--broker-ca", type=Path, metavar="FILE", help="authorities that vouch for an mqtts broker (the system's)"
    )
    serve.add_argument(
        "--broker-port", type=_port, default=0, metavar="N", help="of the embedded broker; 0: a free one (0)"
    )
    _add_store_options(serve)
    serve.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="the full-size models (Mien's own)")
    serve.add_argument("--threads", type=int, choices=(1, 2, 4, 8), default=1, help="for the models (1)")
    serve.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the models run: in this process, or as replicas of a Ray Serve deployment, which needs the extra "
        "`scale` (local)",
    )
    serve.add_argument(
        "--ray-address", metavar="ADDR", help="of a running Ray cluster, e.g. auto; without it Ray starts here"
    )
    _add_mail_options(serve)
    _add_upload_options(serve)
    serve.add_argument(
        "--no-worker", action="store_true", help="store and show only; answer no devices, take no uploads"
    )
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="write the addresses there once all is up")
    serve.add_argument("--verbose", action="store_true", help="say more on stderr")
    serve.add_argument("--log-json", action="store_true", help="say it as JSON, an object a line")
    serve.set_defaults(run=_serve)
    _add_admin(commands)
    privacy_command.add_parser(commands, _add_store_options)
    text_command.add_parser(commands, MODELS)
    broker_command.add_parser(commands)
    return parser


def _add_mail_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--smtp",
        metavar="URL",
        default=os.environ.get("MIEN_SMTP"),
        help="smtp[s]://[user:password@]host[:port] to mail alerts ($MIEN_SMTP keeps it off the screen)",
    )
    serve.add_argument("--mail-from", metavar="ADDRESS", help="the sender of these mails")


def _add_tls_options(serve: argparse.ArgumentParser) -> None:
    group = serve.add_mutually_exclusive_group()
    group.add_argument(
        "--tls",
        action="store_true",
        help="https with a certificate made here, of which browsers warn once; webcam and microphone need https",
    )
    group.add_argument(
        "--tls-files", nargs=2, type=Path, metavar=("CERT", "KEY"), help="https with a certificate of yours (PEM)"
    )
    group.add_argument(
        "--behind-proxy",
        action="store_true",
        help="a proxy on this machine or in this network speaks https for the service and says so (X-Forwarded-Proto)",
    )
    serve.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a name by which browsers reach the page, besides addresses and this machine's own; may be repeated",
    )


def _add_upload_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--detector",
        type=Path,
        metavar="FILE",
        help="YuNet's weights, to find faces in uploads ($MIEN__FACE__DETECTOR_MODEL, what `mien-edge models fetch` "
        "stored, or OpenCV's Haar cascade)",
    )
    serve.add_argument("--max-upload", type=_between(1, 4000), default=200, metavar="MB", help="of one analysis (200)")
    serve.add_argument(
        "--max-minutes",
        type=_between(1, 240),
        default=10,
        metavar="N",
        help="of uploaded sound or video (10)",
    )


def _add_admin(commands: Subparsers) -> None:
    admin = commands.add_parser(
        "admin",
        help="make the first account, or a new password",
        description="Accounts from the command line: the first admin, and the way back in.",
        epilog=ADMIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = admin.add_subparsers(required=True, metavar="ACTION")
    for name, what in (("create", "add an admin of all sites"), ("password", "set a new password")):
        action = actions.add_parser(name, help=what, description=f"{what.capitalize()}.")
        action.add_argument("login", help="a name or an e-mail address")
        _add_store_options(action)
        action.set_defaults(run=_admin, action=name, verbose=False)


def _add_store_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=Path("mien-data"), metavar="DIR", help="the store (./mien-data)")
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get("MIEN_DATABASE"),
        help="postgresql://user:password@host/name instead of SQLite ($MIEN_DATABASE keeps it off the screen)",
    )


def _between(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most}")
        return int(text)

    return whole


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port")
    return port


def _check_host(host: str, *, accounts: bool, https: bool) -> None:
    """Raise ConfigError unless only this machine can reach `host`, or there are accounts and https."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigError(f"--host {host!r} is no address", fix="Give an IP address, e.g. 127.0.0.1.") from error
    if not is_loopback and accounts and not https:
        fix = "Add --tls, --tls-files or --behind-proxy, or keep to 127.0.0.1."
        raise ConfigError(f"--host {host} without https would send passwords in clear", fix=fix)
    if not is_loopback and not accounts:
        fix = "Leave out --no-accounts, or keep to 127.0.0.1 and a tunnel (ssh -L 8080:127.0.0.1:8080 ...)."
        raise ConfigError(f"--host {host} with --no-accounts would let everyone there see everything", fix=fix)


def _serve(arguments: argparse.Namespace) -> int:
    from cloud.alerts.senders import Mail
    from cloud.leaving import leave_in_time
    from cloud.serve import Options, serve  # late: --help need not wait for the models' runtime

    https = arguments.tls or arguments.tls_files is not None or arguments.behind_proxy
    _check_host(arguments.host, accounts=not arguments.no_accounts, https=https)
    options = Options(
        data=arguments.data,
        models=arguments.models,
        host="127.0.0.1" if arguments.host == "localhost" else arguments.host,
        port=arguments.port,
        broker=arguments.broker,
        broker_port=arguments.broker_port,
        broker_ca=arguments.broker_ca,
        worker=not arguments.no_worker,
        threads=arguments.threads,
        engine=arguments.engine,
        ray_address=arguments.ray_address,
        ready_file=arguments.ready_file,
        database=arguments.database,
        accounts=not arguments.no_accounts,
        open_registration=arguments.open_registration,
        tls=_tls_files(arguments),
        behind_proxy=arguments.behind_proxy,
        mail=None if arguments.smtp is None else Mail.parse(arguments.smtp, arguments.mail_from),
        detector=arguments.detector or yunet_weights(os.environ.get("MIEN__FACE__DETECTOR_MODEL")),
        max_upload_mb=arguments.max_upload,
        max_minutes=arguments.max_minutes,
        names=tuple(name.lower() for name in arguments.name),
    )
    asyncio.run(serve(options, on_stopping=leave_in_time))
    return 0


def _tls_files(arguments: argparse.Namespace) -> TlsFiles | None:
    """Return the certificate to use, if any. Raises ServeError if it cannot be used."""
    from cloud.tls import TlsFiles, own_certificate

    if arguments.tls:
        return own_certificate(arguments.data, tuple(arguments.name))
    if arguments.tls_files is None:
        return None
    files = TlsFiles(*arguments.tls_files)
    files.check()
    return files


def _admin(arguments: argparse.Namespace) -> int:
    from cloud.accounts.console import create_admin, reset_password  # late: bcrypt and SQLAlchemy take a moment

    act = create_admin if arguments.action == "create" else reset_password
    sys.stdout.write(act(arguments.data, arguments.database, arguments.login, _ask_password()) + "\n")
    return 0


def _ask_password() -> str:
    """Read it twice from the terminal, or once from standard input. Raises ConfigError if the two differ."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password (10 characters at least): ")
    if getpass.getpass("Again: ") != first:
        raise ConfigError("the two passwords differ", fix="Try again.")
    return first


if __name__ == "__main__":
    sys.exit(main())
