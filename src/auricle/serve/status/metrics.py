"""Counters for Prometheus."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from auricle.engines import Service
from auricle.serve.admission import Admission
from auricle.serve.status.counted import CountedService, Totals
from auricle.serve.wire.error_schemas import errors

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)  # a health check to a long recording


class Metrics:
    """What /metrics shows: one registry for each gateway.

    service: what `Visit`s should ask instead of the given one, so that all that is asked is counted.
    """

    def __init__(self, admission: Admission, service: Service, num_live: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "auricle_requests", "Requests answered; 499: the client left.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "auricle_request_seconds", "From a request's first byte to its answer's last.", ["route"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.totals = Totals()
        self.service: Service = CountedService(service, self.totals)
        self.registry.register(_Now(admission, service, self.totals, num_live))
        ProcessCollector(registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request has ended."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class _Now(Collector):
    """What is looked up when somebody asks: the queues, and the engine's own counts where it has them."""

    def __init__(self, admission: Admission, service: Service, totals: Totals, num_live: Callable[[], int]) -> None:
        self._num_live = num_live
        self._admission = admission
        self._service = service
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """One family for each count."""
        yield _gauge("auricle_requests_running", "Requests that have their turn.", self._admission.running)
        yield _gauge("auricle_requests_waiting", "Requests that wait for their turn.", self._admission.waiting)
        yield _gauge("auricle_live_connections", "Live connections that are open.", self._num_live())
        yield from self._totals.families()
        for name, meaning in (("running", "being answered"), ("waiting", "that wait for room")):
            count = _number(getattr(self._service, f"num_{name}", None))
            if count is not None:
                yield _gauge(f"auricle_engine_{name}", f"Prompts {meaning} in the engine.", count)
        stats: dict[str, float] = getattr(self._service, "cache_stats", dict)()
        for name, value in sorted(stats.items()):
            if (count := _number(value)) is not None:
                family = CounterMetricFamily if name.endswith(("hits", "misses")) else GaugeMetricFamily
                yield family(f"auricle_cache_{name}", f"The engine's caches: {name.replace('_', ' ')}.", value=count)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _number(value: Any) -> float | None:
    found = value() if callable(value) else value
    return float(found) if isinstance(found, int | float) else None


def routes(metrics: Metrics) -> APIRouter:
    """Its endpoint."""
    router = APIRouter()

    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        tags=["server"],
        response_class=Response,
        responses=errors(500) | {200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}}}},
    )
    def show_metrics() -> Response:
        """Requests, tokens, seconds of sound, queues and caches."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
