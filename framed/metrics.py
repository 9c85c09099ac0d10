"""The figures at /metrics, in the words of Prometheus. The only importer of prometheus_client."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from framed.models.devices import DeviceStatus


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.photos = Gauge("framed_photos", "Photos by state", ["state"], registry=self.registry)
        self.memory = Gauge("framed_memory_bytes", "Resident memory of the daemon", registry=self.registry)
        self.connected = Gauge("framed_mqtt_connected", "1 while connected to the broker", registry=self.registry)
        self.host_memory = Gauge("framed_host_memory_bytes", "Resident memory", ["host"], registry=self.registry)
        self.step_seconds = Gauge("framed_step_seconds", "Time spent per step", ["step"], registry=self.registry)
        self.step_photos = Gauge("framed_step_photos", "Photos through a step", ["step"], registry=self.registry)
        self.calls_waiting = Gauge(
            "framed_calls_waiting", "Calls that wait for a host", ["kind"], registry=self.registry
        )
        on_device = ["device", "name"]
        self._device_memory = Gauge("framed_device_memory_bytes", "Memory in use", on_device, registry=self.registry)
        self._device_total = Gauge("framed_device_memory_total_bytes", "Memory", on_device, registry=self.registry)
        self._device_use = Gauge("framed_device_use_ratio", "Share of time in use", on_device, registry=self.registry)
        self._device_heat = Gauge("framed_device_celsius", "Temperature", on_device, registry=self.registry)
        self.failures = Counter("framed_failures", "What went wrong", ["event"], registry=self.registry)

    def device(self, place: str, status: DeviceStatus) -> None:
        """What a device does not tell has no sample."""
        for gauge, value, unit in (
            (self._device_memory, status["memory_used_mb"], 1e6),
            (self._device_total, status["memory_total_mb"], 1e6),
            (self._device_use, status["use_percent"], 0.01),
            (self._device_heat, status["temperature_c"], 1.0),
        ):
            if value is not None:
                gauge.labels(place, status["name"]).set(value * unit)

    def text(self) -> bytes:
        return generate_latest(self.registry)
