"""The certificate of the page: given, or made here and kept in the data folder."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.errors import ServeError

CERTIFICATE, KEY = "tls-certificate.pem", "tls-key.pem"
DAYS = 397
"""Browsers refuse certificates that hold for longer."""

RENEW_DAYS = 30


@dataclass(frozen=True)
class TlsFiles:
    """Paths of a certificate (chain) and its key, both PEM."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raise ServeError unless both can be read and belong together."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            fix = "Both must be PEM files that this user may read."
            raise ServeError(f"{self.certificate} and {self.key} cannot be used: {error}", fix=fix) from error


def own_certificate(folder: Path, names: tuple[str, ...]) -> TlsFiles:
    """Return the self-signed certificate in `folder`, made or renewed where needed, for `names` and this machine.

    Browsers warn of it once; it serves where there is no name that a public authority could vouch for.
    """
    files = TlsFiles(folder / CERTIFICATE, folder / KEY)
    wanted = {*names, "localhost", socket.gethostname().lower(), "127.0.0.1", "::1"}
    if not _serves(files.certificate, wanted):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(files, sorted(wanted))
    return files


def _serves(path: Path, wanted: set[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return left.days >= RENEW_DAYS and wanted <= {str(name.value) for name in names}


def _make(files: TlsFiles, names: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mien")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=DAYS - 1))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.key.unlink(missing_ok=True)
    with os.fdopen(os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
