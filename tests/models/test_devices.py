"""Devices are told of as far as their driver tells, and a machine without one has none."""

from types import SimpleNamespace
from typing import Any

from framed.models.devices import Devices


class DriverError(Exception):
    pass


class Driver:
    """NVML at its functions, with a switch for each thing a driver may refuse."""

    NVMLError = DriverError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *refuses: str) -> None:
        self._refuses = refuses

    def __getattr__(self, name: str) -> Any:
        def ask(*_: Any) -> Any:
            if name in self._refuses:
                raise DriverError("Not Supported")
            return {
                "nvmlDeviceGetCount": 1,
                "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=2_000_000_000, total=8_000_000_000),
                "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37),
                "nvmlDeviceGetName": b"RTX 4060",
                "nvmlDeviceGetTemperature": 61,
            }.get(name)

        return ask


def test_a_device_tells_its_use_memory_and_temperature() -> None:
    assert Devices(Driver()).read() == [
        {"name": "RTX 4060", "memory_used_mb": 2000, "memory_total_mb": 8000, "use_percent": 37, "temperature_c": 61}
    ]


def test_what_a_device_refuses_is_null_and_the_rest_is_told() -> None:
    (told,) = Devices(Driver("nvmlDeviceGetTemperature", "nvmlDeviceGetUtilizationRates")).read()
    assert told["temperature_c"] is None
    assert told["use_percent"] is None
    assert told["memory_total_mb"] == 8000


def test_a_machine_without_a_driver_has_no_devices() -> None:
    assert Devices(Driver("nvmlInit")).read() == []


def test_a_driver_that_stops_answering_takes_nothing_down() -> None:
    assert Devices(Driver("nvmlDeviceGetCount")).read() == []


def test_this_machine_is_read_without_fault() -> None:
    assert isinstance(Devices().read(), list)
