"""Counts and times for Prometheus, of one service."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest


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
            Gauge(f"deepenough_{name}", told, registry=self.registry)
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
        """The page that Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
