"""A real Mosquitto for a test, and a plain MQTT client that sees what Home Assistant or a frame would see."""

import asyncio
import contextlib
import random
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import aiomqtt
import pytest

from tests.peers import require_peer


def free_port(count: int = 1) -> int:
    """The first of `count` free ports in a row.

    Below the kernel's ephemeral range: there an outgoing connection could take the port while a broker restarts.
    """
    while True:
        first = random.randint(10_000, 32_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


class Mosquitto:
    """Mosquitto on a free port of 127.0.0.1, anonymous unless `options` say otherwise; nothing outlives its end."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._binary = require_peer("mosquitto")
        self._conf = folder / f"mosquitto-{self.port}.conf"
        options = options or ("allow_anonymous true",)
        lines = (
            f"listener {self.port} 127.0.0.1",
            "user root",
            "log_dest stderr",
            "max_queued_messages 10000",
            *options,
        )
        self._conf.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([self._binary, "-c", str(self._conf)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.005)
        raise TimeoutError("mosquitto does not listen")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            while self._process.poll() is None:
                self._process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):  # Mosquitto can lose one that comes at its start
                    self._process.wait(0.5)
            self._process = None

    def reload(self) -> None:
        """Have it read its password file again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A fresh broker per test: it starts in 30 ms."""
    with Mosquitto(tmp_path) as broker:
        yield broker


class Peer:
    """Another client of the broker. It keeps every message it gets, and can wait for one."""

    def __init__(
        self,
        port: int,
        *filters: str,
        username: str | None = None,
        password: str | None = None,
        five: bool = True,
        will: aiomqtt.Will | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        version = aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311
        self.client = aiomqtt.Client(
            "127.0.0.1",
            port,
            username=username,
            password=password,
            protocol=version,
            timeout=30,
            will=will,
            tls_context=tls,
        )
        self.client.pending_calls_threshold = 10_000
        self.seen: list[aiomqtt.Message] = []
        self._filters = filters
        self._news = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        self._reader = asyncio.create_task(self._read())
        for wanted in self._filters:
            await self.client.subscribe(wanted, qos=1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reader is not None
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        try:
            await self.client.__aexit__(None, None, None)
        except aiomqtt.MqttError:
            pass  # the test has stopped the broker

    async def _read(self) -> None:
        async for message in self.client.messages:
            async with self._news:
                self.seen.append(message)
                self._news.notify_all()

    async def publish(self, topic: str, payload: str | bytes = b"", *, retain: bool = False, qos: int = 1) -> None:
        await self.client.publish(topic, payload, qos=qos, retain=retain)

    async def wait_for(self, topic: str, payload: str | bytes | None = None, *, count: int = 1) -> aiomqtt.Message:
        """The `count`-th message whose topic matches the filter `topic`, with `payload` if one is given."""
        wanted = payload.encode() if isinstance(payload, str) else payload
        looked_at = 0
        async with asyncio.timeout(40), self._news:
            while True:
                for message in self.seen[looked_at:]:
                    if wanted in (None, message.payload) and message.topic.matches(topic):
                        count -= 1
                        if count == 0:
                            return message
                looked_at = len(self.seen)
                await self._news.wait()

    def payloads(self, topic: str) -> list[bytes]:
        return [bytes(message.payload) for message in self.seen if message.topic.matches(topic)]


async def retained(
    port: int, *filters: str, username: str | None = None, password: str | None = None
) -> dict[str, bytes]:
    """What a client that subscribes now is given: the retained messages under `filters`."""
    async with Peer(port, *(filters or ("#",)), username=username, password=password) as peer:
        # The broker answers in order: when our own marker is back, all retained messages have come.
        marker = f"test/marker/{id(peer)}"
        await peer.client.subscribe(marker, qos=1)
        await peer.publish(marker, b"end")
        await peer.wait_for(marker)
        return {m.topic.value: bytes(m.payload) for m in peer.seen if m.retain and not re.match("test/", m.topic.value)}
