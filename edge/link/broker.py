"""Where the broker is, who we are to it, and the paho client that goes there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import LinkError

Version = Literal["5", "3.1.1"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS = {"5": MQTTv5, "3.1.1": MQTTv311}


@dataclass(frozen=True)
class Broker:
    """A broker's address and what it asks of us. Its repr holds no secret."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def client(self, client_id: str, version: Version) -> Client:
        """Return a paho client for one connection and no second one: it never connects again by itself."""
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=_PROTOCOLS[version],
            reconnect_on_failure=False,
        )
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        return client


def parse_broker(
    url: str,
    *,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | None = None,
    certificate_file: str | None = None,
    key_file: str | None = None,
) -> Broker:
    """Return the broker of mqtt://user:password@host:port or mqtts://..., ports 1883 and 8883 if none is named.

    Name and password given apart win over those of the URL, in which special characters are percent-encoded. For
    mqtts the system's authorities are trusted unless `ca_file` names others. Raises LinkError if the URL is malformed
    or a file cannot be used.
    """
    fix = "Write mqtt://host:port or mqtts://host:port."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LinkError(f"the broker's address is malformed: {error}", fix=fix) from error
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or port == 0:
        raise LinkError(f"the broker's address must not be {parts.scheme}://{host or ''}{parts.path}", fix=fix)
    tls = _tls(ca_file, certificate_file, key_file) if parts.scheme == "mqtts" else None
    return Broker(
        host=host,
        port=port or _PORTS[parts.scheme],
        username=username or (unquote(parts.username) if parts.username else None),
        password=password or (unquote(parts.password) if parts.password else None),
        tls=tls,
    )


def _tls(ca_file: str | None, certificate_file: str | None, key_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if certificate_file:
            context.load_cert_chain(certificate_file, key_file)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(name for name in (ca_file, certificate_file, key_file) if name)
        raise LinkError(f"cannot use the TLS files {files}: {error}", fix="Enroll the device again.") from error
    return context
