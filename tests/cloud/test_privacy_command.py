import io
import time

import pytest
from cloud_messages import reading

from cloud.arrivals import Arrival
from cloud.cli import main
from cloud.store import devices, readings, save
from cloud.store.retention import Retention, retention_of


@pytest.fixture
def store(database):
    """A store in which two devices have said something; open, as the service would have it."""
    for device in ("front-door", "back-door"):
        save(database.engine, [Arrival("home", device, reading(ts=ts), time.time()) for ts in (1.7e9, 1.7e9 + 60)])
    return database


@pytest.fixture
def privacy(store, database_url, tmp_path, capsys):
    place = ["--data", str(tmp_path)] + ([] if database_url is None else ["--database", database_url])

    def run(*arguments):
        status = main(["privacy", *arguments, *place])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def test_a_device_is_erased_beside_the_running_service(privacy, store):
    status, said, _ = privacy("erase", "--site", "home", "--device", "front-door", "--yes")
    assert (status, "2 readings" in said) == (0, True)
    assert {view["device"] for view in readings(store.engine)} == {"back-door"}
    assert [view["device"] for view in devices(store.engine)] == ["back-door"]


def test_a_period_is_erased_after_a_yes(privacy, store, monkeypatch):
    period = ("--site", "home", "--from", "2023-11-14T22:13:30+00:00", "--until", "2023-11-14T22:15:00+00:00")
    for answer, left in (("n\n", 4), ("yes\n", 2)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        status, _, asked = privacy("erase", *period)
        assert (status, "for good?" in asked, len(readings(store.engine))) == (0, True, left)
    assert {view["at"] for view in readings(store.engine)} == {1.7e9}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("erase", "--site", "hone", "--yes"), "no site 'hone'"),
        (("erase", "--site", "home", "--device", "door", "--yes"), "back-door, front-door"),
        (("erase", "--site", "home", "--from", "2100-01-01", "--yes"), "end after it begins"),
        (("retention", "--site", "home", "--readings", "99", "--minutes", "9"), "shorter time"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(privacy, store, arguments, complaint):
    status, said, error = privacy(*arguments)
    assert (status, said, error.count("\n")) == (1, "", 1)
    assert complaint in error
    assert len(readings(store.engine)) == 4


def test_retention_is_shown_changed_and_acted_on(privacy, store):
    assert "readings 30 days" in privacy("retention", "--site", "home")[1]
    assert "readings 7 days" in privacy("retention", "--site", "home", "--readings", "7")[1]
    assert retention_of(store.engine, "home") == Retention(readings_days=7)
    assert "4 readings" in privacy("purge")[1]
    assert "Nothing was too old" in privacy("purge")[1]
    assert readings(store.engine) == []
