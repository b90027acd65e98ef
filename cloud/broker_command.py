"""`mien-cloud broker`: accounts of a Mosquitto for the service, for devices, and for others' dashboards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cloud.broker_accounts import (
    ACCESS,
    PASSWORDS,
    Account,
    device_account,
    reader_account,
    remove_account,
    service_account,
    write_account,
)
from edge.protocol import PREFIX

EPILOG = f"""\
examples:
  mien-cloud broker reader --site school-1 --files /etc/mosquitto
      an account that may read what concerns school-1 and may do nothing else; its password is shown once
  mien-cloud broker service --files /etc/mosquitto
      the account for `mien-cloud serve --broker mqtt://mien-cloud:PASSWORD@HOST`
  mien-cloud broker device --site school-1 --device front-door --files /etc/mosquitto
  mien-cloud broker remove school-1-reader --files /etc/mosquitto

Mosquitto takes them with these lines, and again after a change with SIGHUP (systemctl reload mosquitto):
  allow_anonymous false
  password_file /etc/mosquitto/{PASSWORDS}
  acl_file /etc/mosquitto/{ACCESS}
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parsers of `mien-cloud`."""
    about: dict[str, Any] = {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
    described = "Accounts of a Mosquitto: its password file and its access list."
    broker = commands.add_parser("broker", help="accounts of a Mosquitto", description=described, **about)
    actions = broker.add_subparsers(required=True, metavar="ACTION")
    reader = actions.add_parser("reader", help="may read one site", description="An account that only reads.", **about)
    reader.add_argument("--site", required=True, metavar="SITE", help="which site")
    reader.add_argument("--name", metavar="NAME", help="of the account (SITE-reader)")
    reader.set_defaults(act=_reader)
    device = actions.add_parser("device", help="a device's own", description="The account of one device.", **about)
    device.add_argument("--site", required=True, metavar="SITE", help="of which site")
    device.add_argument("--device", required=True, metavar="DEVICE", help="which device")
    device.set_defaults(act=_device)
    service = actions.add_parser("service", help="the service's", description="The account of the service.", **about)
    service.set_defaults(act=_service)
    remove = actions.add_parser("remove", help="take one away", description="Take an account away.", **about)
    remove.add_argument("name", metavar="NAME", help="of the account")
    remove.set_defaults(act=_remove)
    for action in (reader, device, service, remove):
        action.add_argument(
            "--files", type=Path, required=True, metavar="DIR", help=f"folder of {PASSWORDS} and {ACCESS}"
        )
        action.set_defaults(run=run, verbose=False)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for; return the exit status. Raises ServeError."""
    sys.stdout.write(f"{arguments.act(arguments)}\n")
    return 0


def _reader(arguments: argparse.Namespace) -> str:
    account = reader_account(arguments.site, arguments.name)
    said = _made(arguments.files, account)
    return f"{said}\nTry: mosquitto_sub -h HOST -u {account.name} -P PASSWORD -v -t '{PREFIX}/{arguments.site}/#'"


def _device(arguments: argparse.Namespace) -> str:
    return _made(arguments.files, device_account(arguments.site, arguments.device))


def _service(arguments: argparse.Namespace) -> str:
    return _made(arguments.files, service_account())


def _made(folder: Path, account: Account) -> str:
    password = write_account(folder, account)
    return (
        f"name: {account.name}\npassword: {password}\nThe password is shown only now. Let Mosquitto reload its files."
    )


def _remove(arguments: argparse.Namespace) -> str:
    remove_account(arguments.files, arguments.name)
    return f"{arguments.name} is no account any more once Mosquitto has reloaded its files."
