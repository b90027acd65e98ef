"""Accounts made by `mien-cloud broker` in front of a real Mosquitto: what each may read and write, and nothing else."""

import shutil
import subprocess
import sys

import pytest
from brokers import Mosquitto, eventually
from cloud_messages import availability, birth, evidence, health, reading, verdict
from cloud_models import write_models
from cloud_service import REPOSITORY, CloudProcess

from cloud.alerts.post import alert_topic
from cloud.broker_accounts import ACCESS, PASSWORDS, hashed
from cloud.cli import main
from cloud.tls import own_certificate
from edge.protocol import encode, topic

WAIT_S = 60
DONE = "mien/v1/school-1/front-door/event/done"


class Broker:
    """A Mosquitto that lets in whom `mien-cloud broker` has let in."""

    def __init__(self, folder, capsys, *more):
        self.folder, self._capsys, self.passwords = folder, capsys, {}
        self.add("service")
        lines = ("allow_anonymous false", f"password_file {folder / PASSWORDS}", f"acl_file {folder / ACCESS}")
        self.process = Mosquitto(folder, *lines, *more)

    def add(self, *arguments):
        """Run `mien-cloud broker`; return the account's name."""
        assert main(["broker", *arguments, "--files", str(self.folder)]) == 0
        said = dict(line.split(": ", 1) for line in self._capsys.readouterr().out.splitlines() if ": " in line)
        self.passwords[said["name"]] = said["password"]
        return said["name"]

    def _login(self, name, password=None):
        return [
            "-h",
            "127.0.0.1",
            "-p",
            str(self.process.port),
            "-V",
            "5",
            "-u",
            name,
            "-P",
            password or self.passwords[name],
        ]

    def publish(self, name, topic_text, payload=b"{}", *options):
        command = ["mosquitto_pub", *self._login(name), "-q", "1", "-t", topic_text, "-s", *options]
        subprocess.run(command, input=payload, check=True, timeout=WAIT_S, capture_output=True)

    def listen(self, name, *filters, more=("-d",)):
        """Return a running mosquitto_sub that ends with the message on DONE, or with an error."""
        wanted = [argument for each in filters for argument in ("-t", each)]
        command = ["mosquitto_sub", *self._login(name), "-q", "1", "-F", "%t", *more, *wanted]
        return subprocess.Popen(
            ["stdbuf", "-oL", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def lets_in(self, name, password=None):
        command = ["mosquitto_pub", *self._login(name, password), "-q", "1", "-t", "nowhere", "-n"]
        return subprocess.run(command, timeout=WAIT_S, capture_output=True).returncode == 0


@pytest.fixture
def broker(tmp_path, capsys):
    made = Broker(tmp_path, capsys)
    made.process.start()
    yield made
    made.process.stop()


def heard_until_done(listener):
    """Return the topics that a listener was handed until DONE; it is stopped."""
    heard = []
    try:
        for line in listener.stdout:
            text = line.strip()
            if text == DONE:
                return heard
            if text.startswith("mien/"):
                heard.append(text)
    finally:
        listener.terminate()
        listener.wait(WAIT_S)
        listener.stdout.close()
    raise AssertionError(f"the listener ended by itself: {heard}")


def wait_until_subscribed(listener):
    for line in listener.stdout:
        if "SUBACK" in line:
            return
    raise AssertionError("the listener ended by itself")


def test_a_reader_hears_its_own_site_and_nothing_that_is_not_for_it(broker):
    reader = broker.add("reader", "--site", "school-1")
    broker.process.reload()
    eventually(lambda: broker.lets_in(reader), within_s=WAIT_S)
    said = reading()
    its_own = {
        topic("school-1", "front-door", "availability"): availability(),
        topic("school-1", "front-door", "birth"): birth(),
        topic("school-1", "front-door", "reading"): said,
        topic("school-1", "front-door", "verdict"): verdict(said.id),
        topic("school-1", "front-door", "health"): health(),
    }
    hidden = [topic("school-1", "front-door", "command", "mute"), topic("school-1", "front-door", "reply", "mute")]
    hidden.append(topic("school-2", "front-door", "reading"))
    retained = topic("school-1", "front-door", "birth")
    broker.publish("mien-cloud", retained, encode(its_own.pop(retained)), "-r")
    broker.publish("mien-cloud", topic("school-2", "front-door", "birth"), encode(birth()), "-r")
    with broker.listen(reader, "#", "mien/v1/+/+/reading", "$SYS/#") as listener:
        wait_until_subscribed(listener)
        for where, message in its_own.items():
            broker.publish("mien-cloud", where, encode(message))
        broker.publish("mien-cloud", alert_topic("school-1"))
        broker.publish("mien-cloud", topic("school-1", "front-door", "evidence"), encode(evidence(said.id)))
        for where in hidden:
            broker.publish("mien-cloud", where)
        broker.publish("mien-cloud", DONE)
        heard = heard_until_done(listener)
    assert set(heard) == {*its_own, retained, alert_topic("school-1")}


def test_a_reader_publishes_nothing(broker):
    reader = broker.add("reader", "--site", "school-1", "--name", "wall-display")
    assert reader == "wall-display"
    broker.process.reload()
    eventually(lambda: broker.lets_in(reader), within_s=WAIT_S)
    with broker.listen("mien-cloud", "mien/v1/#") as listener:
        wait_until_subscribed(listener)
        for where in (topic("school-1", "front-door", "reading"), topic("school-1", "front-door", "command", "mute")):
            broker.publish(reader, where)
        broker.publish(reader, topic("school-1", "cloud", "availability"), b"{}", "-r")
        broker.publish("mien-cloud", DONE)
        assert heard_until_done(listener) == []


def test_a_device_says_what_is_its_own_and_never_its_verdict(broker):
    device = broker.add("device", "--site", "school-1", "--device", "front-door")
    broker.process.reload()
    eventually(lambda: broker.lets_in(device), within_s=WAIT_S)
    own = [topic("school-1", "front-door", kind) for kind in ("birth", "reading", "evidence", "health")]
    others = [topic("school-1", "front-door", "verdict"), topic("school-1", "back-door", "reading")]
    others += [topic("school-1", "front-door", "command", "mute"), topic("school-1", "cloud", "availability")]
    with broker.listen("mien-cloud", "mien/v1/#") as listener:
        wait_until_subscribed(listener)
        for where in [*own, *others]:
            broker.publish(device, where)
        broker.publish("mien-cloud", DONE)
        assert heard_until_done(listener) == own
    with broker.listen(device, "mien/v1/#") as listener:
        wait_until_subscribed(listener)
        broker.publish("mien-cloud", topic("school-1", "front-door", "verdict"))
        broker.publish("mien-cloud", topic("school-1", "back-door", "verdict"))
        broker.publish("mien-cloud", topic("school-1", "cloud", "availability"))
        stopped = topic("school-1", "front-door", "command", "mute")
        broker.publish("mien-cloud", stopped)
        heard = []
        for line in listener.stdout:
            heard += [line.strip()] if line.startswith("mien/") else []
            if line.strip() == stopped:
                break
        listener.terminate()
    assert heard == [topic("school-1", "front-door", "verdict"), topic("school-1", "cloud", "availability"), stopped]


def test_the_service_stores_what_a_device_says_by_its_account(broker, tmp_path):
    device = broker.add("device", "--site", "school-1", "--device", "front-door")
    broker.process.reload()
    eventually(lambda: broker.lets_in(device), within_s=WAIT_S)
    url = f"mqtt://mien-cloud:{broker.passwords['mien-cloud']}@127.0.0.1:{broker.process.port}"
    models = str(write_models(tmp_path / "models"))
    with CloudProcess(tmp_path / "cloud", "--models", models, "--broker", url) as cloud:
        sent = reading()
        broker.publish(device, topic("school-1", "front-door", "reading"), encode(sent))
        broker.publish(device, topic("school-1", "back-door", "reading"), encode(reading()))
        eventually(cloud.readings, within_s=WAIT_S)
        assert [(one["device"], one["id"]) for one in cloud.readings()] == [("front-door", sent.id)]


@pytest.mark.slow
def test_with_tls_nothing_goes_in_clear(tmp_path, capsys):
    files = own_certificate(tmp_path / "certificate", ())
    broker = Broker(tmp_path, capsys, f"certfile {files.certificate}", f"keyfile {files.key}")
    reader = broker.add("reader", "--site", "school-1")
    broker.process.start()
    address = f"mien-cloud:{broker.passwords['mien-cloud']}@127.0.0.1:{broker.process.port}"
    options = ("--models", str(write_models(tmp_path / "models")), "--broker", f"mqtts://{address}")
    with CloudProcess(tmp_path / "cloud", *options, "--broker-ca", str(files.certificate)) as cloud:
        trusting = ["--cafile", str(files.certificate)]
        sent = reading()
        said = topic("school-1", "front-door", "reading")
        broker.publish("mien-cloud", said, encode(sent), *trusting, "-r")
        with broker.listen(reader, said, more=trusting) as listener:
            assert next(listener.stdout).strip() == said
            listener.terminate()
        eventually(cloud.readings, within_s=WAIT_S)
        assert cloud.get("/readyz")["checks"] == {"store": True, "worker": True}
    assert not broker.lets_in("mien-cloud"), "without TLS"
    for url in (f"mqtts://{address}", f"mqtt://{address}"):  # the one does not know the certificate, the other no TLS
        data = ["--port", "0", "--data", tmp_path / "refused", "--no-accounts", "--no-worker"]
        command = [sys.executable, "-m", "cloud.cli", "serve", *data, "--broker", url]
        refused = subprocess.run(command, cwd=REPOSITORY, timeout=WAIT_S, capture_output=True, text=True)
        assert (refused.returncode, "cannot be reached" in refused.stderr) == (1, True), refused.stderr
    broker.process.stop()


def test_a_new_password_replaces_the_old_one_and_a_removed_account_is_out(broker):
    reader = broker.add("reader", "--site", "school-1")
    old = broker.passwords[reader]
    broker.add("reader", "--site", "school-1")
    broker.process.reload()
    eventually(lambda: broker.lets_in(reader), within_s=WAIT_S)
    assert not broker.lets_in(reader, old)
    assert not broker.lets_in(reader, "x")
    assert main(["broker", "remove", reader, "--files", str(broker.folder)]) == 0
    broker.process.reload()
    eventually(lambda: not broker.lets_in(reader), within_s=WAIT_S)
    assert broker.lets_in("mien-cloud")
    assert reader not in (broker.folder / ACCESS).read_text() + (broker.folder / PASSWORDS).read_text()


def test_entries_of_others_stay_as_they_are(tmp_path, capsys):
    access, passwords = tmp_path / ACCESS, tmp_path / PASSWORDS
    access.write_text("topic read public/#\n\nuser somebody\ntopic readwrite theirs/#")
    passwords.write_text("somebody:$7$101$abc$def\n")
    passwords.chmod(0o600)
    before = access.read_text(), passwords.read_text()
    for site in ("school-1", "school-1", "school-2"):
        assert main(["broker", "reader", "--site", site, "--files", str(tmp_path)]) == 0
    assert access.read_text().count("user school-1-reader") == 1
    for site in ("school-1", "school-2"):
        assert main(["broker", "remove", f"{site}-reader", "--files", str(tmp_path)]) == 0
    assert (access.read_text(), passwords.read_text()) == (before[0] + "\n", before[1])
    assert passwords.stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    for wrong in (("reader", "--site", "Not A Site"), ("reader", "--site", "a", "--name", "a:b"), ("remove", "nobody")):
        assert main(["broker", *wrong, "--files", str(tmp_path)]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["broker", "reader", "--site", "a", "--name", "somebody", "--files", str(tmp_path)]) == 1
    assert "not Mien's" in capsys.readouterr().err


def test_passwords_are_kept_as_mosquitto_itself_would(tmp_path):
    assert shutil.which("mosquitto_passwd")
    path = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", path, "u", "pw"], check=True, capture_output=True)
    theirs, ours = path.read_text().strip().partition(":")[2].split("$"), hashed("pw").split("$")
    assert (len(theirs), theirs[1], len(theirs[3]), len(theirs[4])) == (len(ours), "7", len(ours[3]), len(ours[4]))
