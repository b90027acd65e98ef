"""/metrics and /api/docs: what machines and people read about the service."""

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from cloud.api import Services, create_app
from cloud.counters import Counters
from cloud.live import Live
from cloud.store import Database


@pytest.fixture
def service(tmp_path):
    database = Database(tmp_path)
    counters = Counters()
    checks = {"store": True, "worker": False}
    services = Services(
        engine=database.engine, live=Live(), counters=counters, checks=lambda: checks, broker="", accounts=False
    )
    yield services, TestClient(create_app(services), base_url="http://127.0.0.1")
    database.close()


def test_prometheus_reads_counts_and_health(service):
    services, client = service
    services.counters.add("ingest.stored", 3)
    families = {each.name: each for each in text_string_to_metric_families(client.get("/metrics").text)}
    samples = {sample.labels["event"]: sample.value for sample in families["mien_events"].samples}
    assert samples == {"ingest.stored": 3.0}
    assert {s.labels["part"]: s.value for s in families["mien_part_healthy"].samples} == {"store": 1.0, "worker": 0.0}
    assert families["mien_live_sockets"].samples[0].value == 0.0
    services.counters.add("ingest.stored")
    assert 'mien_events_total{event="ingest.stored"} 4.0' in client.get("/metrics").text


def test_the_page_of_the_interface_names_every_route(service):
    _, client = service
    page = client.get("/api/docs").text
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            assert f"<code>{method.upper()} {path}</code>" in page
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in page
