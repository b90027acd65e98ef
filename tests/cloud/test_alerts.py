"""Alerts through a real store, out to a real web server, a real SMTP server and SNS as moto plays it."""

import asyncio
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict

import pytest
from aiosmtpd.controller import Controller
from cloud_messages import availability, health, reading, verdict
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.alerts.post import Post, alert_topic
from cloud.alerts.rules import Rule
from cloud.alerts.senders import Mail, Undelivered, check_target, signature
from cloud.alerts.watch import AlertWatch
from cloud.arrivals import Arrival
from cloud.counters import Counters
from cloud.errors import AlertError
from cloud.store import save
from cloud.store.alerts import AlertRow, ChannelRow, DeliveryRow, RuleRow
from cloud.store.erasure import erase
from edge.errors import ConfigError
from edge.protocol import SourceHealth

T = 1_700_000_000.0
ANGRY = Rule(name="angry", kind="expression", emotions=("angry",), threshold=0.7, duration_s=6.0)


@pytest.fixture
def watch(database):
    return AlertWatch(database.engine)


def store(database, watch, *messages, at, site="home", device="door"):
    arrivals = [Arrival(site, device, message, at) for message in messages]
    assert all(save(database.engine, arrivals))
    for arrival in arrivals:
        watch.notice(arrival)


def add(database, *rows):
    with Session(database.engine) as session, session.begin():
        session.add_all(rows)


def look_out(database, rule=ANGRY, site="home"):
    add(database, RuleRow(site=site, enabled=True, spec=asdict(rule) | {"emotions": list(rule.emotions)}))


def alerts(database):
    with Session(database.engine) as session:
        return list(session.scalars(select(AlertRow).order_by(AlertRow.key)))


def deliveries(database):
    with Session(database.engine) as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.key)))


def angry(at, confidence=0.9, **changes):
    return reading(int(at - T), "angry", confidence, ts=at, **{"gate": "sure"} | changes)


def test_an_alert_comes_and_goes_with_what_is_stored(database, watch):
    look_out(database)
    store(database, watch, angry(T), at=T)
    assert watch.round(T) == 0
    store(database, watch, angry(T + 3), at=T + 3)
    assert watch.round(T + 3) == 1
    (raised,) = alerts(database)
    assert (raised.rule, raised.kind, raised.since, raised.cleared_at) == ("angry", "expression", T - 3, None)
    assert "angry" in raised.text
    for at in (T + 6, T + 9):
        store(database, watch, angry(at), at=at)
        assert watch.round(at) == 0
    store(database, watch, reading(9, "happy", 0.9, ts=T + 12, gate="sure"), at=T + 12)
    watch.round(T + 12)
    assert alerts(database)[0].cleared_at is None
    assert watch.round(T + 40) == 1
    assert alerts(database)[0].cleared_at == T + 40
    assert [one.event for one in deliveries(database)] == ["raised", "cleared"]


def test_a_verdict_that_contradicts_prevents_it(database, watch):
    look_out(database)
    for at in (T, T + 3):
        said = angry(at, 0.75, gate="requested")
        store(database, watch, said, at=at)
        store(database, watch, verdict(said.id, "sad", 0.9, ts=at), at=at)
    watch.round(T + 4)
    assert alerts(database) == []


def test_late_readings_raise_nothing(database, watch):
    look_out(database)
    for at in (T, T + 3, T + 6):
        store(database, watch, angry(at), at=T + 3600)
    watch.round(T + 3600)
    assert alerts(database) == []


def test_a_rule_is_about_its_site_and_device(database, watch):
    look_out(database, Rule(**asdict(ANGRY) | {"device": "door"}))
    for site, device in (("home", "door"), ("home", "hall"), ("work", "door")):
        for at in (T, T + 3):
            store(database, watch, angry(at), at=at, site=site, device=device)
    watch.round(T + 3)
    assert len(alerts(database)) == 1


def test_a_rule_that_goes_clears_its_alerts(database, watch):
    look_out(database)
    store(database, watch, angry(T), angry(T + 3), at=T + 3)
    watch.round(T + 3)
    with Session(database.engine) as session, session.begin():
        session.delete(session.get(RuleRow, 1))
    watch.round(T + 4)
    assert alerts(database)[0].cleared_at == T + 4


def test_the_health_of_devices_is_looked_after(database, watch):
    for rule in (
        Rule(name="lost", kind="lost", duration_s=60.0),
        Rule(name="down", kind="down", duration_s=0.0),
        Rule(name="hot", kind="temperature", threshold=80.0, duration_s=0.0),
    ):
        look_out(database, rule)
    camera = SourceHealth(state="down", rate=0.0, dropped=0, error="unplugged")
    store(database, watch, health(ts=T, sources={"camera": camera}, temperature_c=84.0), at=T)
    watch.round(T + 1)
    assert sorted(one.kind for one in alerts(database)) == ["down", "temperature"]
    store(database, watch, health(ts=T + 60), at=T + 60)
    watch.round(T + 61)
    assert all(one.cleared_at == T + 61 for one in alerts(database))
    save(database.engine, [Arrival("home", "door", availability("lost"), T + 90)])
    watch.round(T + 140)
    watch.round(T + 151)
    assert [one.kind for one in alerts(database) if one.cleared_at is None] == ["lost"]


def test_erasing_takes_alerts_and_what_is_still_to_be_told(database, watch):
    look_out(database)
    store(database, watch, angry(T), angry(T + 3), at=T + 3)
    watch.round(T + 3)
    _, counts = erase(database.engine, "home", "door", T - 10, T + 10, actor="ada", now=T + 20)
    assert counts["alerts"] == 1
    assert alerts(database) == deliveries(database) == []


# ---- out into the world ----


class Web:
    """A web server that answers as told and keeps what it was sent."""

    def __init__(self, *statuses):
        self.heard = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = statuses[min(len(web.heard), len(statuses) - 1)]
                web.heard.append((dict(self.headers), body))
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def raise_one(database, watch, kind=None, target="", secret="s3cret"):
    if kind is not None:
        add(database, ChannelRow(site="home", kind=kind, target=target, secret=secret))
    look_out(database)
    store(database, watch, angry(T), angry(T + 3), at=T + 3)
    watch.round(T + 3)


def post_rounds(database, count, *, mail=None, published=None, counters=None):
    """Let the post do some rounds, without waiting between tries."""

    async def publish(topic, payload):
        if published is not None:
            published.append((topic, payload))

    async def work():
        post = Post(database.engine, counters or Counters(), publish, mail, retry_s=(0.0, 0.0))
        return [await post.round() for _ in range(count)]

    return asyncio.run(work())


def test_a_webhook_is_signed_and_tried_again_until_it_is_taken(database, watch):
    with Web(503, 302, 204) as web:
        raise_one(database, watch, "webhook", web.url)
        published = []
        assert post_rounds(database, 4, published=published) == [2, 1, 1, 0]
    assert len(web.heard) == 3
    assert len({body for _, body in web.heard}) == 1, "a delivery that is tried again is the same"
    headers, body = web.heard[-1]
    at, hexed = (part.split("=")[1] for part in headers["X-Mien-Signature"].split(","))
    assert hmac.compare_digest(hexed, hmac.new(b"s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest())
    assert abs(int(at) - time.time()) < 300
    notice = json.loads(body)
    assert (notice["event"], notice["rule"], notice["site"], notice["device"]) == ("raised", "angry", "home", "door")
    assert headers["X-Mien-Delivery"] == str(notice["delivery"])
    ((topic, payload),) = published
    assert (topic, json.loads(payload)["alert"]) == (alert_topic("home"), notice["alert"])


def test_a_webhook_that_never_answers_is_given_up_and_counted(database, watch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    raise_one(database, watch, "webhook", f"http://127.0.0.1:{port}/")
    counters = Counters()
    post_rounds(database, 5, counters=counters)
    webhook = deliveries(database)[1]
    assert (webhook.attempts, webhook.done_at is not None, "ConnectionError" in webhook.error) == (3, True, True)
    assert (counters["alerts.failed.webhook"], counters["alerts.given-up.webhook"]) == (3, 1)


def test_a_signature_as_the_documentation_computes_it():
    wanted = hmac.new(b"key", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("key", b'{"a":1}', 1_700_000_000) == f"t=1700000000,v1={wanted}"


class Box:
    """What an SMTP server does with a mail: keep it, or refuse its recipient."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("nobody"):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope)
        return "250 OK"


@contextmanager
def smtp_server():
    box = Box()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, Mail.parse(f"smtp://127.0.0.1:{port}", "mien@example.org")
    finally:
        controller.stop()


def test_a_mail_goes_over_a_real_smtp_server(database, watch):
    with smtp_server() as (box, mail):
        raise_one(database, watch, "mail", "guard@example.org")
        assert post_rounds(database, 2, mail=mail) == [2, 0]
    (envelope,) = box.mails
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("mien@example.org", ["guard@example.org"])
    assert message["Subject"] == "[Mien] raised: angry (home/door)"
    assert "not what a person feels" in message.get_content()


def test_a_recipient_who_is_not_there_is_not_tried_again(database, watch):
    with smtp_server() as (box, mail):
        raise_one(database, watch, "mail", "nobody@example.org")
        assert post_rounds(database, 2, mail=mail) == [2, 0]
    assert box.mails == []
    refused = deliveries(database)[1]
    assert (refused.attempts, "refuses" in refused.error) == (1, True)


def test_a_mail_server_that_is_away_is_tried_again(database, watch):
    with smtp_server() as (_, mail):
        pass
    raise_one(database, watch, "mail", "guard@example.org")
    assert post_rounds(database, 1, mail=mail) == [2]
    with pytest.raises(Undelivered, match="no mail"):
        mail.send(_notice_of(database), "guard@example.org")
    assert deliveries(database)[1].done_at is None


def _notice_of(database):
    from cloud.alerts.senders import Notice

    (alert,) = alerts(database)
    times = {"since": alert.since, "raised_at": alert.raised_at, "acknowledged_at": None, "cleared_at": None}
    what = {"event": "raised", "site": "home", "device": "door", "rule": "angry", "kind": "expression", "text": "x"}
    return Notice(delivery=1, alert=alert.key, **what, **times)


def test_sns_gets_the_message(database, watch, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    import boto3
    from moto import mock_aws
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.sns import sns_backends

    with mock_aws():
        arn = boto3.client("sns", region_name="eu-central-1").create_topic(Name="mien")["TopicArn"]
        raise_one(database, watch, "sns", arn)
        assert post_rounds(database, 2) == [2, 0]
        (sent,) = sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].topics[arn].sent_notifications
        assert "angry: raised" in sent[1]


@pytest.mark.parametrize(
    ("kind", "target"),
    [("webhook", "ftp://x"), ("webhook", "http://"), ("mail", "ada"), ("mail", "a@b\nBcc: c@d"), ("sns", "topic")],
)
def test_a_target_that_is_none_is_refused(kind, target):
    with pytest.raises(AlertError):
        check_target(kind, target)


@pytest.mark.parametrize(
    ("url", "sender"), [("http://x", "a@b"), ("smtp://", "a@b"), ("smtp://x", None), ("smtp://x", "ada")]
)
def test_a_mail_server_that_is_none_is_refused(url, sender):
    with pytest.raises(ConfigError, match="--smtp"):
        Mail.parse(url, sender)
