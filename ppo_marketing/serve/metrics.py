"""What is counted, in Prometheus' form."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter(
            "ppo_requests", "Answers by path and status", ("path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "ppo_request_seconds", "From the first byte to the answer", ("path",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.decisions = Counter(
            "ppo_decisions", "Decisions by policy version", ("policy",), registry=registry
        )
        self.reasons = Counter(
            "ppo_interventions", "Decisions that a guard stepped in on", ("reason",),
            registry=registry,
        )  # fmt: skip
        self.events = Counter(
            "ppo_events", "What a decision's own protocol counts", ("what", "reason"),
            registry=registry,
        )  # fmt: skip
        self.alerts = Counter(
            "ppo_alerts", "What a person should look at", ("what",), registry=registry
        )
        self.swaps = Counter("ppo_swaps", "Policies put in charge", registry=registry)
        self.policy = Gauge("ppo_policy", "The policy in charge", ("policy",), registry=registry)

    def text(self) -> bytes:
        """The metrics as a scraper reads them."""
        return generate_latest(self.registry)
