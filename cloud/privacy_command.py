"""`mien-cloud privacy`: how long a site keeps what, and erasing what it should not have kept."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from cloud.errors import PrivacyError

if TYPE_CHECKING:
    from cloud.store import Database

EPILOG = """\
examples:
  mien-cloud privacy erase --site school-1 --device door --yes
      everything that the device ever said, and the device itself
  mien-cloud privacy erase --site school-1 --from 2026-03-02T08:00 --until 2026-03-02T12:30
      one morning of all devices of the site; asks before it does
  mien-cloud privacy retention --site school-1
      for how many days the site keeps what; with --readings 7 and so on: change it
  mien-cloud privacy purge
      take away now what is older, instead of within the hour

The service may be running meanwhile. Times without a zone are this machine's. All of it stands in the audit log.
"""

KINDS = ("readings", "minutes", "hours", "events")


def add_parser(commands: Any, add_store_options: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the command to the parsers of `mien-cloud`."""
    about: dict[str, Any] = {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
    described = "How long a site keeps what, and erasing what it should not have kept."
    privacy = commands.add_parser("privacy", help="retention and erasure", description=described, **about)
    actions = privacy.add_subparsers(required=True, metavar="ACTION")
    erase = actions.add_parser("erase", help="erase a device or a period", description="Erase what was said.", **about)
    erase.add_argument("--site", required=True, metavar="SITE", help="of which site")
    erase.add_argument("--device", metavar="DEVICE", help="of one device (all of the site)")
    erase.add_argument("--from", dest="start", type=_time, metavar="TIME", help="from then on (from the beginning)")
    erase.add_argument("--until", dest="end", type=_time, metavar="TIME", help="to before then (up to now)")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.set_defaults(run=run, act=_erase, verbose=False)
    keep = actions.add_parser("retention", help="show or change it", description="For how many days what is kept.")
    keep.add_argument("--site", required=True, metavar="SITE", help="of which site")
    for kind, what in zip(
        KINDS,
        (
            "readings and verdicts",
            "sums per minute, and aggregates",
            "sums per hour",
            "events, health reports and alerts",
        ),
        strict=True,
    ):
        keep.add_argument(f"--{kind}", type=int, metavar="DAYS", help=f"{what}: this many days")
    keep.set_defaults(run=run, act=_retention, verbose=False)
    purge = actions.add_parser("purge", help="take away what is too old", description="Take away what is too old.")
    purge.set_defaults(run=run, act=_purge, verbose=False)
    for action in (erase, keep, purge):
        add_store_options(action)


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status. Raises MienError."""
    from cloud.store import Database  # late: SQLAlchemy takes a moment

    with contextlib.closing(Database(options.data, options.database, exclusive=False)) as database:
        sys.stdout.write(options.act(options, database) + "\n")
    return 0


def _erase(options: argparse.Namespace, database: Database) -> str:
    from cloud.accounts.console import CONSOLE
    from cloud.store import devices
    from cloud.store.erasure import EVER, erase

    now = time.time()
    found = [one["device"] for one in devices(database.engine, sites=frozenset({options.site}))]
    if not found or options.device not in (None, *found):
        where = f"device {options.device!r} at site {options.site!r}" if options.device else f"site {options.site!r}"
        raise PrivacyError(f"there is no {where}", fix=f"There are: {', '.join(found) or 'no devices there'}.")
    start = EVER if options.start is None else options.start
    end = now if options.end is None else min(options.end, now)
    if start >= end:
        raise PrivacyError("the period has to end after it begins", fix="Check --from and --until.")
    what = f"{options.device or 'all devices (' + ', '.join(found) + ')'} at {options.site}"
    period = f"{'the beginning' if options.start is None else _text(start)} to {_text(end)}"
    if not options.yes and not _confirmed(f"Erase {what}, from {period}, for good?"):
        return "Nothing was erased."
    _, counts = erase(database.engine, options.site, options.device, start, end, actor=CONSOLE, now=now)
    return f"Erased {what}, from {period}: {_counted(counts)}."


def _retention(options: argparse.Namespace, database: Database) -> str:
    from cloud.accounts.console import CONSOLE
    from cloud.store.retention import retention_of, set_retention

    kept = retention_of(database.engine, options.site)
    changes = {f"{kind}_days": getattr(options, kind) for kind in KINDS if getattr(options, kind) is not None}
    if changes:
        kept = replace(kept, **changes)
        set_retention(database.engine, options.site, kept, actor=CONSOLE, now=time.time())
    days = ", ".join(f"{name.removesuffix('_days')} {value} days" for name, value in asdict(kept).items())
    return f"{options.site} keeps: {days}."


def _purge(_options: argparse.Namespace, database: Database) -> str:
    from cloud.store.retention import purge

    removed = purge(database.engine)
    return "\n".join(f"{site}: {_counted(counts)}" for site, counts in removed.items()) or "Nothing was too old."


def _time(text: str) -> float:
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-03-02T08:00") from error


def _text(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n) or "there was nothing"


def _confirmed(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
