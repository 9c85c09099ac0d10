"""The figures at /metrics, in the words of Prometheus. The only importer of prometheus_client."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.photos = Gauge("framed_photos", "Photos by state", ["state"], registry=self.registry)
        self.memory = Gauge("framed_memory_bytes", "Resident memory of the daemon", registry=self.registry)
        self.connected = Gauge("framed_mqtt_connected", "1 while connected to the broker", registry=self.registry)
        self.host_memory = Gauge("framed_host_memory_bytes", "Resident memory", ["host"], registry=self.registry)
        self.step_seconds = Gauge("framed_step_seconds", "Time spent per step", ["step"], registry=self.registry)
        self.failures = Counter("framed_failures", "What went wrong", ["event"], registry=self.registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)
