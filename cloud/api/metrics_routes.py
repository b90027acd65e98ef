"""What Prometheus asks for: /metrics, with an access token of somebody who manages a site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from cloud.accounts.roles import Access, Permission
from cloud.api.access import needs
from cloud.api.replies import NO_STORE
from cloud.api.services import Parts, Services

router = APIRouter(tags=["health"])


class ServiceCollector(Collector):
    """Reads the parts of a service when it is asked, so that nothing is counted twice."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Yield what the service knows about itself; nothing about people or single devices."""
        events = CounterMetricFamily("mien_events", "What the service has counted since it started", labels=["event"])
        for name, count in self._services.counters.snapshot().items():
            events.add_metric([name], count)
        yield events
        healthy = GaugeMetricFamily("mien_part_healthy", "1 if a part of the service works, else 0", labels=["part"])
        for part, works in self._services.checks().items():
            healthy.add_metric([part], float(works))
        yield healthy
        yield GaugeMetricFamily("mien_live_sockets", "Pages that follow live", value=self._services.live.watchers)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": "mien_live_sockets 2.0\n"}}}},
)
def metrics(services: Parts, _access: Annotated[Access, needs(Permission.MANAGE_SITE)]) -> Response:
    """Counters, health of the parts, live sockets, and the process, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(services))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return Response(generate_latest(registry), headers=NO_STORE, media_type=CONTENT_TYPE_LATEST)
