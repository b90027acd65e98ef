"""How alerts get out: webhook, e-mail, SNS. Each delivers or raises Undelivered. All block: run them in threads."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import ipaddress
import smtplib
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import requests

from cloud.errors import AlertError
from edge import __version__
from edge.errors import ConfigError

TIMEOUT_S = 10.0
SIGNATURE_HEADER = "X-Mien-Signature"
DELIVERY_HEADER = "X-Mien-Delivery"
_SMTP_PORTS = {"smtp": 25, "smtps": 465}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an alert; the body of a webhook, the payload on MQTT."""

    schema: str = "mien.alert/1"
    delivery: int
    """The same when a delivery is tried again: receivers tell repetitions by it."""
    event: str
    """`raised`, `repeated`, `acknowledged` or `cleared`."""
    alert: int
    site: str
    device: str
    rule: str
    kind: str
    text: str
    since: float
    """Unix seconds; so are the next three."""
    raised_at: float
    acknowledged_at: float | None
    cleared_at: float | None


class Undelivered(Exception):
    """A notice did not get through; the message says why. `again` False: it never will."""

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


@dataclass(frozen=True)
class Mail:
    """The SMTP server to hand mail to, from --smtp."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = None
    tls: bool = False
    """smtps; with plain smtp STARTTLS is used wherever the server offers it."""

    @classmethod
    def parse(cls, url: str, sender: str | None) -> Mail:
        """Return what smtp[s]://[user:password@]host[:port] says. Raises ConfigError."""
        fix = "Write it as smtp[s]://[user:password@]host[:port]."
        try:
            parts = urlsplit(url)
            port = parts.port or _SMTP_PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise ConfigError("--smtp is no address", fix=fix) from error
        if parts.scheme not in _SMTP_PORTS or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigError("--smtp is no address of an SMTP server", fix=fix)
        if not sender or "@" not in sender:
            raise ConfigError("--smtp needs a sender", fix="Add --mail-from mien@example.org.")
        user = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port, sender, user, password, parts.scheme == "smtps")

    def send(self, notice: Notice, to: str) -> None:
        """Hand one mail over. Raises Undelivered."""
        message = EmailMessage()
        message["Subject"] = f"[Mien] {notice.event}: {notice.rule} ({notice.site}/{notice.device})"
        message["From"], message["To"] = self.sender, to
        message["Message-ID"] = f"<mien-{notice.delivery}-{int(notice.raised_at)}@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(as_text(notice))
        try:
            with self._connect() as server:
                server.send_message(message)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as error:
            raise Undelivered(f"the mail server refuses: {error}", again=False) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"no mail to {self.host}:{self.port}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif self.username is not None and not _is_loopback(self.host):
                server.close()
                raise Undelivered(f"{self.host} offers no TLS, and the password must not go in clear")
        if self.username is not None:
            server.login(self.username, self.password or "")
        return server


def send_webhook(notice: Notice, url: str, secret: str) -> None:
    """POST a notice, signed. Raises Undelivered unless the answer is 2xx; redirects are not followed."""
    body = msgspec.json.encode(notice)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Mien/{__version__}",
        SIGNATURE_HEADER: signature(secret, body, int(time.time())),
        DELIVERY_HEADER: str(notice.delivery),
    }
    try:
        with requests.post(
            url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        raise Undelivered(f"{urlsplit(url).netloc}: {type(error).__name__}") from error
    if not 200 <= status < 300:
        raise Undelivered(f"{urlsplit(url).netloc} answered {status}", again=status != 410)


def signature(secret: str, body: bytes, at: int) -> str:
    """Return `t=SECONDS,v1=HEX`: HMAC-SHA256 with the secret over "SECONDS." and the body. docs/alerts.md checks it."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def send_sns(notice: Notice, topic_arn: str) -> None:
    """Publish a notice on a topic of Amazon SNS. Raises Undelivered."""
    import boto3  # late: only where the extra `aws` is installed
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("sns", region_name=topic_arn.split(":")[3])
        subject = f"Mien {notice.event}: {notice.rule}"[:100]
        client.publish(TopicArn=topic_arn, Subject=subject, Message=as_text(notice))
    except (BotoCoreError, ClientError) as error:
        raise Undelivered(f"SNS: {error}") from error


def has_sns() -> bool:
    """Say whether what SNS needs is installed."""
    return importlib.util.find_spec("boto3") is not None


def check_target(kind: str, target: str) -> None:
    """Raise AlertError unless a target is one of its kind."""
    fixes = {
        "webhook": "Give a URL with http:// or https://.",
        "mail": "Give an e-mail address.",
        "sns": "Give the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME.",
    }
    parts: dict[str, Any] = {
        "webhook": lambda: urlsplit(target).scheme in ("http", "https") and urlsplit(target).hostname,
        "mail": lambda: target.count("@") == 1 and target.isprintable() and not set(target) & set(' ,;<>"'),
        "sns": lambda: target.startswith("arn:aws") and target.count(":") == 5,
    }
    try:
        good = parts[kind]()
    except ValueError:
        good = False
    if not good:
        raise AlertError(f"{target!r} is no target for {kind}", fix=fixes[kind])


def as_text(notice: Notice) -> str:
    """Return a notice as lines for people."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(notice.since))
    lines = (
        f"{notice.rule}: {notice.event}",
        f"{notice.site}/{notice.device}: {notice.text}",
        f"since {since}",
        "",
        "What a face looks like and a voice sounds like to a model is not what a person feels."
        if notice.kind == "expression"
        else "",
    )
    return "\n".join(lines).strip() + "\n"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
