"""The composition root: starts everything that `assembly` builds, in order, and stops it in reverse."""

import asyncio
import errno
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import structlog

from framed.assembly import Assembly
from framed.broker_choice import own_broker, sign_in
from framed.claim import claim
from framed.config import Config
from framed.errors import CannotStore
from framed.logs import to_topic
from framed.memory import give_back
from framed.messages import Folded
from framed.models import vision_settings, weights
from framed.models.pool import HostPool
from framed.mqtt.client import MqttClient
from framed.owner_token import owner_token
from framed.parts import parts_of, redo
from framed.playlists.words import install
from framed.reload import Reload
from framed.store.database import Database

log = structlog.get_logger(__name__)


class App(Assembly):
    """`async with App(config)` is a running framed."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = time.time,
        read: Callable[[], Config] | None = None,
    ) -> None:
        """`read` gives the configuration anew, for `reload`."""
        super().__init__(Reload(config, read or (lambda: config), parts_of(self)), clock=clock)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "App":
        self._loop = asyncio.get_running_loop()
        try:
            await self._start()
        except BaseException as error:
            await self._stack.aclose()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise CannotStore.because(error) from error
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        config, data = self.config, self.config.data_dir
        weights.use(config.models_folder)
        vision_settings.use(config.captions)
        await asyncio.to_thread(claim, data, self._stack)
        self.token = await asyncio.to_thread(owner_token, data)
        self.database = Database(data / "framed.db")
        self.database.on_reader = install
        self._stack.push_async_callback(self.database.close)
        await self.database.start()
        self.pool = HostPool(config.compute, on_event=lambda event: self.backends.heard(event))
        self._stack.push_async_callback(self.pool.close)
        await self.pool.start()
        self._assemble()
        await self._start_broker()
        await self._run()

    async def _start_broker(self) -> None:
        broker = own_broker(self.config.mqtt, self.config.data_dir / "broker")
        if broker is not None:
            self.broker = broker
            self._stack.push_async_callback(broker.stop)
            self.endpoint = await broker.start()
            self.accounts.broker, self.accounts.endpoint = broker, self.endpoint
        self.mqtt = MqttClient(
            sign_in(self.config.mqtt, self.config.instance, self.endpoint),
            status_topic=self.topics.status,
            subscriptions=self.topics.subscriptions(),
            on_message=self.messages.incoming,
            on_connected=self._connected,
            on_overflow=self.messages.overflow,
            on_refused=self.messages.refused,
        )
        self.messages.client = self.mqtt
        self.messages.on_connected = self._connected

    async def _run(self) -> None:
        """Everything is built: start it in an order in which nothing hears before it can answer."""
        self.bus.start()
        self._stack.push_async_callback(self.bus.close)
        await self.registry.load()
        await self.messages.start()
        self._stack.push_async_callback(self.messages.close)
        await self.web.start()
        self._stack.push_async_callback(self.web.close)
        await self.republish()
        await self.mqtt.start()
        self._stack.push_async_callback(self.mqtt.close)
        await self.jobs.start()
        self._stack.push_async_callback(self.jobs.close)
        self._stack.push_async_callback(self.background.close)
        self.background.start(self._build_index(), "index")
        await self.pipeline.start()
        self._stack.push_async_callback(self.pipeline.close)
        await self.image_models.start()
        self._stack.push_async_callback(self.image_models.close)
        await self.late.start()
        self._stack.push_async_callback(self.late.close)
        await self.grouping.start()
        self._stack.push_async_callback(self.grouping.close)
        await self.people.look_with()
        await redo(self, self.config)
        await self.backends.start()
        self.background.start(self.models.fetch_wished(), "wished weights")
        self._stack.push_async_callback(self.backends.close)
        await self.scanning.start()
        self._stack.push_async_callback(self.scanning.close)
        await self.player.start()
        self._stack.push_async_callback(self.rendered.close)
        self._stack.push_async_callback(self.player.close)
        await self.system.start()
        self._stack.push_async_callback(self.system.close)
        await self.housekeeping.start()
        self._stack.push_async_callback(self.housekeeping.close)
        await self.schedule.start()
        self._stack.push_async_callback(self.schedule.close)
        self._stack.push_async_callback(self._leave)
        to_topic(self._log_line, Folded())
        self._stack.callback(to_topic, None, None)

    async def _build_index(self) -> None:
        await self.index.build()
        await give_back()
        for frame in self.registry.all():
            _, playlist = await self.player.current(frame.id)
            if playlist is None and self.player.when_empty is not None:
                await self.player.when_empty(frame.id)

    async def _connected(self) -> None:
        """At every connection, and when Home Assistant has started: framed is the truth of all its retained topics."""
        await self.republish()
        await self.messages.clear_leftovers()

    async def _leave(self) -> None:
        """What computes ends first and at once: whatever was in flight is derived from the rows again."""
        log.info("framed is stopping")
        await asyncio.gather(self.player.close(), self.rendered.close(), self.pipeline.close(), self.pool.close())

    def _log_line(self, payload: dict[str, Any]) -> None:
        """Any thread may log; the message leaves from the loop."""
        self._loop.call_soon_threadsafe(lambda: self.background.start(self.messages.log_line(payload), "log"))
