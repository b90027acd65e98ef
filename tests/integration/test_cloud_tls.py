"""`mien-cloud serve --tls` as people run it: a certificate made here, https and wss, nothing in clear."""

import socket
import ssl
import stat

import httpx
import pytest
from cloud_messages import reading
from cloud_models import write_models
from cloud_service import CloudProcess, Device
from cryptography import x509
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from cloud.tls import CERTIFICATE, KEY

LOGIN, PASSWORD = "ada", "correct horse battery"
NAME = "mien.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def served(folder):
    models = str(write_models(folder / "models"))
    with CloudProcess(folder, "--models", models, "--tls", "--name", NAME, accounts=True) as cloud:
        cloud.add_admin(LOGIN, PASSWORD)
        yield cloud


@pytest.fixture(scope="module")
def trust(served):
    """What a browser has whose user has accepted the certificate."""
    return ssl.create_default_context(cafile=served.data / CERTIFICATE)


@pytest.fixture
def client(served, trust):
    with httpx.Client(base_url=served.web, verify=trust) as opened:
        yield opened


def port_of(served):
    return int(served.web.rsplit(":", 1)[1])


def test_https_with_a_certificate_for_this_machine_and_its_names(served, client, trust):
    assert served.web.startswith("https://")
    assert client.get("/healthz").json() == {"status": "ok"}
    certificate = x509.load_pem_x509_certificate((served.data / CERTIFICATE).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {NAME, "localhost", "127.0.0.1"} <= {str(one.value) for one in names}
    for name in (NAME, "localhost"):
        plain = socket.create_connection(("127.0.0.1", port_of(served)), 30)
        with trust.wrap_socket(plain, server_hostname=name) as secured:
            assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_a_stranger_who_has_not_accepted_the_certificate_is_warned(served):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{served.web}/healthz")


def test_nothing_is_answered_in_clear(served):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port_of(served)}/healthz", timeout=30)
    with pytest.raises((InvalidHandshake, OSError, EOFError)):
        connect(f"ws://127.0.0.1:{port_of(served)}/live", open_timeout=30)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_refused(served, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port_of(served)), 30) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_a_login_has_a_secure_cookie_and_opens_a_live_socket(served, client, trust):
    answer = client.post("/api/session", json={"login": LOGIN, "password": PASSWORD})
    assert all(word in answer.headers["set-cookie"] for word in ("Secure", "HttpOnly", "SameSite=lax"))
    assert client.get("/api/session").json()["login"] == LOGIN
    cookie = {"Cookie": f"mien_session={client.cookies['mien_session']}"}
    address = f"wss://127.0.0.1:{port_of(served)}/live"
    with connect(address, ssl=trust, additional_headers=cookie, origin=served.web, open_timeout=60) as page:
        with Device(served.broker_port, "school-1", "front-door") as device:
            sent = reading()
            device.publish("reading", sent)
        assert sent.id in page.recv(timeout=30)
    with pytest.raises(InvalidHandshake):
        connect(address, ssl=trust, additional_headers=cookie, origin=served.web.replace("https", "http"))


def test_the_key_is_for_the_service_alone(served):
    assert stat.S_IMODE((served.data / KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE(served.data.stat().st_mode) == 0o700
