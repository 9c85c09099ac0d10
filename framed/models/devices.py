"""What the accelerators of this machine are doing: use, memory, temperature, as far as their driver says."""

from __future__ import annotations

import contextlib
import os
from typing import Any, TypedDict

import structlog

log = structlog.get_logger(__name__)


def has_driver() -> bool:
    """Whether a driver of an accelerator is there to be asked; importing torch to know takes seconds."""
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))


class DeviceStatus(TypedDict):
    """Memory in MB, use in percent of the last second, temperature in degrees Celsius; null where it is not told."""

    name: str
    memory_used_mb: int | None
    memory_total_mb: int | None
    use_percent: int | None
    temperature_c: int | None


class Devices:
    """Reads NVIDIA's management library, which asks the driver and touches no CUDA context.

    `read` blocks for some milliseconds, so it belongs in a thread. A machine without a driver has no devices.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library
        self._looked = False

    def read(self) -> list[DeviceStatus]:
        nvml = self._nvml()
        if nvml is None:
            return []
        try:
            return [self._one(nvml, place) for place in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError as error:
            log.warning("the GPU's driver does not answer", problem=str(error))
            return []

    def _nvml(self) -> Any:
        if self._looked:
            return self._library
        self._looked = True
        if self._library is None:
            import pynvml

            self._library = pynvml
        try:
            self._library.nvmlInit()
        except self._library.NVMLError as error:
            log.debug("no NVIDIA driver here", problem=str(error))
            self._library = None
        return self._library

    @staticmethod
    def _one(nvml: Any, place: int) -> DeviceStatus:
        device = nvml.nvmlDeviceGetHandleByIndex(place)

        def told(ask: Any, *arguments: Any) -> Any:
            # Which of these a device tells differs: laptops have no temperature, MIG slices no use.
            with contextlib.suppress(nvml.NVMLError):
                return ask(device, *arguments)
            return None

        memory = told(nvml.nvmlDeviceGetMemoryInfo)
        rates = told(nvml.nvmlDeviceGetUtilizationRates)
        name = told(nvml.nvmlDeviceGetName)
        return DeviceStatus(
            name=name.decode(errors="replace") if isinstance(name, bytes) else str(name or f"GPU {place}"),
            memory_used_mb=None if memory is None else round(memory.used / 1e6),
            memory_total_mb=None if memory is None else round(memory.total / 1e6),
            use_percent=None if rates is None else int(rates.gpu),
            temperature_c=told(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        )
