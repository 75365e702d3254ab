"""Counts and times for Prometheus, of one service."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder in which the processes of one service keep their counts; prometheus_client's own."""


class ServiceMetrics:
    """A registry of its own, so that several services in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "deepenough_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "deepenough_request_seconds", "Seconds from a request to its answer.", ["route"], registry=self.registry
        )
        self.batch = Histogram(
            "deepenough_batch_images",
            "Images that went through the network together.",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )
        self.now = [
            Gauge(f"deepenough_{name}", told, registry=self.registry, multiprocess_mode="livesum")
            for name, told in (
                ("pending_images", "Images that wait for a prediction."),
                ("pending_explanations", "Explanations, and questions to other depths, that wait or are worked on."),
                ("uploads", "Bodies of requests that are under way."),
                ("upload_bytes", "Bytes of bodies that are here, until their answer."),
            )
        ]

    def set(self, *values: int) -> None:
        """Set the gauges: pending images and explanations, uploads and their bytes."""
        for gauge, value in zip(self.now, values, strict=True):
            gauge.set(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def page(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, over all processes of the service, and its content type."""
        registry = self.registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
