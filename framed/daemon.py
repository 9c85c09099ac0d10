"""framed as a service: from its start to SIGTERM or SIGINT, with a new look at the configuration at SIGHUP."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from framed.app import App
from framed.config import Config
from framed.errors import ConfigError
from framed.memory import bound_arenas
from framed.watchdog import Heart, notifier


async def serve(
    config: Config, ready: Callable[[App], None] | None = None, read: Callable[[], Config] | None = None
) -> None:
    """Returns when framed has stopped; `ready` is called once it is up. systemd is told how it goes."""
    bound_arenas()
    stop, systemd = asyncio.Event(), notifier()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    edited = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, edited.set)
    async with App(config, read=read) as app, Heart(app.database, systemd) as heart:
        app.background.start(_read_again(app, heart, edited), "reload")
        if ready is not None:
            ready(app)
        await stop.wait()
        deadline = loop.call_later(4.5, os._exit, 0)  # contract of the unit: stopped within five seconds
    deadline.cancel()


async def _read_again(app: App, heart: Heart, edited: asyncio.Event) -> None:
    while True:
        await edited.wait()
        edited.clear()
        with heart.reloading(), suppress(ConfigError):  # it is in the log and in health
            await app.reload.now()
