"""What this machine is doing for framed: devices, memory, what each step takes, and what to do where it hurts."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import psutil

from framed.advice import advice
from framed.models.devices import Devices, DeviceStatus
from framed.models.pool import HostPool


class Analysis(Protocol):
    """The pipeline, or the late steps: for each step, how long it took and how many photos went through it."""

    @property
    def step_ms(self) -> Mapping[str, float]: ...

    @property
    def step_photos(self) -> Mapping[str, int]: ...


class Monitor:
    """`read` once a minute; `devices` and `steps` are what it found last, for whoever asks in between."""

    def __init__(
        self,
        *,
        pool: HostPool,
        analyses: Callable[[], tuple[Analysis, ...]],
        data: Path,
        devices: Devices | None = None,
    ) -> None:
        self._pool = pool
        self._analyses = analyses
        self._data = data
        self._reader = devices or Devices()
        self.devices: list[DeviceStatus] = []

    async def read(self, *, pending: int) -> dict[str, Any]:
        """The part of `framed/health` that this knows: `gpu`, `memory_free_mb`, `disk_free_mb`, `steps`, `advice`."""
        self.devices = await asyncio.to_thread(self._reader.read)
        disk = await asyncio.to_thread(shutil.disk_usage, self._data)
        memory_mb = psutil.virtual_memory().available / 1e6
        step_ms: dict[str, float] = {}
        for analysis in self._analyses():
            step_ms.update(analysis.step_ms)
        said = advice(
            devices=self.devices,
            restarts_1h=self._pool.restarts_within(3600.0),
            step_ms=step_ms,
            pending=pending,
            memory_free_mb=memory_mb,
            disk_free=disk.free,
            on_cpu=self._pool.on_cpu,
            memory_short=self._pool.memory_short,
        )
        return {
            "gpu": self.devices,
            "memory_free_mb": round(memory_mb),
            "disk_free_mb": round(disk.free / 1e6),
            "steps": self.steps(),
            "advice": said,
        }

    def steps(self) -> dict[str, dict[str, float]]:
        """By step, since framed started: photos, and milliseconds of waiting for each."""
        found = {}
        for analysis in self._analyses():
            for name, photos in analysis.step_photos.items():
                if photos:
                    found[name] = {"photos": photos, "ms_each": round(analysis.step_ms.get(name, 0.0) / photos, 1)}
        return found
