"""Tells systemd that framed is ready, and lives: the event loop turns and the store takes writes."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sdnotify
import structlog

from framed.background import end_tasks
from framed.store.database import Database
from framed.store.tables import settings

log = structlog.get_logger(__name__)


def notifier() -> sdnotify.SystemdNotifier:
    """The way to systemd; taken before any child is started, which would else report to it as well (Mosquitto does)."""
    taken = sdnotify.SystemdNotifier()
    os.environ.pop("NOTIFY_SOCKET", None)
    return taken


class Heart:
    """Beats at half of WATCHDOG_USEC where systemd asked for it; without systemd it does nothing."""

    def __init__(self, database: Database, notifier: sdnotify.SystemdNotifier) -> None:
        self._database = database
        self._notifier = notifier
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Heart":
        self._notifier.notify("READY=1\nSTATUS=framed is running")
        interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        if interval_us:
            self._task = asyncio.create_task(self._beat(interval_us / 2e6), name="watchdog")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._notifier.notify("STOPPING=1")
        await end_tasks(self._task)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around reading the configuration again: `systemctl reload` ends when it is over."""
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            yield
        finally:
            self._notifier.notify("READY=1\nSTATUS=framed is running")

    async def _beat(self, seconds: float) -> None:
        while True:
            try:
                await self._database.write(lambda c: c.execute(settings.select().limit(1)).first())
                self._notifier.notify("WATCHDOG=1")
            except Exception as error:
                log.error("no heartbeat: the store does not answer", problem=str(error))
            await asyncio.sleep(seconds)
