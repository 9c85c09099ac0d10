"""The broker that framed brings along: a supervised Mosquitto where it is installed, else iotcore."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import time
from pathlib import Path
from typing import Final

import psutil
import structlog
from pydantic import BaseModel, ValidationError

from framed.background import end_tasks
from framed.errors import ConfigError, FramedError, Unavailable
from framed.mqtt import iotcore
from framed.mqtt.accounts import DAEMON, Accounts
from framed.mqtt.broker_process import STOP_TRIES, STOP_TRY_S, BrokerProcess
from framed.mqtt.endpoint import BrokerKind, Credentials, Endpoint
from framed.mqtt.mosquitto import Mosquitto, usable_mosquitto
from framed.mqtt.recipe import Recipe
from framed.private_file import write_private

log = structlog.get_logger(__name__)

_BACKOFF_S: Final = (0.2, 30.0)
_GOOD_RUN_S: Final = 60.0
_RENEWED_S: Final = 15.0


class _Running(BaseModel):
    """The pid file: the broker, and the daemon that started it, told from a later process of the same number."""

    broker: int
    daemon: int
    daemon_started: float


class ManagedBroker:
    """One broker process: started, restarted when it dies, and ended with the daemon, even by kill -9.

    `data` is a folder of its own; configuration, accounts and Mosquitto's database live there, readable by this user
    only. `base` and `discovery` are the topic prefixes that the rights are written for.
    """

    def __init__(
        self,
        data: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 1883,
        base: str = "framed",
        discovery: str = "homeassistant",
        kind: BrokerKind | None = None,
    ) -> None:
        self._data = data
        self._host = host
        self._port = port
        self._base = base
        self._discovery = discovery
        self._kind = kind
        self._accounts = Accounts(data / "accounts.json")
        self._recipe: Recipe | None = None
        self._process: BrokerProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._accounts_lock = asyncio.Lock()
        self._up = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def open_to_lan(self) -> bool:
        """Whether other machines can reach it; nobody gets in without an account in either case."""
        try:
            return not ipaddress.ip_address(self._host).is_loopback
        except ValueError:
            return self._host != "localhost"

    async def start(self) -> Endpoint:
        """Raises ConfigError for a taken port or a folder in use, Unavailable where no broker can be run."""
        recipe = self._recipe = await self._choose()
        await asyncio.to_thread(self._prepare, recipe)
        await self._spawn(recipe)
        self._supervisor = asyncio.create_task(self._supervise(recipe), name="broker supervisor")
        log.info("broker started", kind=recipe.kind, host=self._host, port=self._port, pid=self.pid)
        if recipe.kind == "iotcore":
            log.warning("broker with limits", note=recipe.note)
        daemon = self.credentials(DAEMON)
        return Endpoint(
            host="127.0.0.1" if self._host in ("", "0.0.0.0", "::") else self._host,
            port=self._port,
            port_v5=next((port for port in recipe.ports() if port != self._port), None),
            username=daemon.username,
            password=daemon.password,
            kind=recipe.kind,
            note=recipe.note,
        )

    async def stop(self) -> None:
        await end_tasks(self._supervisor)
        self._supervisor = None
        if self._process is not None:
            await self._process.end()
            self._process = None
        await asyncio.to_thread(self._pid_file.unlink, missing_ok=True)

    def credentials(self, user: str) -> Credentials:
        """The account of `framed`, `home`, or a frame that has been given one."""
        return self._accounts.of(user)

    async def add_frame(self, frame: str, *, renew: bool = False) -> Credentials:
        """Give a frame its account (user name = frame id), or return the one it has; `renew` gives a new password."""
        async with self._accounts_lock:
            if self._accounts.give(frame, renew=renew):
                await self._accounts_changed()
            return self._accounts.of(frame)

    async def remove_frame(self, frame: str) -> None:
        """Take a frame's account away; Mosquitto disconnects it at once."""
        async with self._accounts_lock:
            if self._accounts.take(frame):
                await self._accounts_changed()

    # Accounts and files: called in a thread

    @property
    def _pid_file(self) -> Path:
        return self._data / "broker.pid"

    def _prepare(self, recipe: Recipe) -> None:
        if "\n" in str(self._data):
            raise ConfigError("The data folder of the broker must not have a line break in its name.", field="data")
        self._data.mkdir(parents=True, exist_ok=True)
        self._data.chmod(0o700)
        self._accounts.load()
        self._write(recipe)
        self._end_orphan(recipe)
        for port in recipe.ports():
            _check_free(self._host, port)

    def _write(self, recipe: Recipe) -> None:
        self._accounts.save()
        recipe.write(self._accounts.passwords)

    async def _accounts_changed(self) -> None:
        if self._recipe is None:
            return
        await asyncio.to_thread(self._write, self._recipe)
        process = self._process
        if process is None:
            return
        self._up.clear()
        await process.reload()
        if process.to_be_renewed:
            try:
                async with asyncio.timeout(_RENEWED_S):
                    await self._up.wait()  # whoever was given an account comes with it at once
            except TimeoutError:
                log.warning("the broker is not back yet with its other accounts", kind=self._recipe.kind)

    def _end_orphan(self, recipe: Recipe) -> None:
        """End a broker that an earlier daemon left behind, known by its command line: a pid alone says nothing."""
        try:
            left = _Running.model_validate_json(self._pid_file.read_bytes())
            process = psutil.Process(left.broker)
            if not recipe.is_command(process.cmdline()):
                return
        except (FileNotFoundError, ValidationError, psutil.NoSuchProcess, psutil.AccessDenied):
            return
        if _lives(left.daemon, left.daemon_started) and left.daemon != os.getpid():
            raise ConfigError(f"Another framed (process {left.daemon}) already uses the broker folder {self._data}.")
        log.warning("ending the broker of an earlier run", pid=left.broker)
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            _end_and_wait(process)

    # The process

    async def _choose(self) -> Recipe:
        binary = await usable_mosquitto() if self._kind in (None, "mosquitto") else None
        if binary is not None:
            path, version = binary
            return Mosquitto(
                data=self._data,
                host=self._host,
                port=self._port,
                base=self._base,
                discovery=self._discovery,
                binary=path,
                note=f"Mosquitto {version}, run by framed.",
            )
        if self._kind in (None, "iotcore") and iotcore.installed():
            return iotcore.Iotcore(data=self._data, host=self._host, port=self._port)
        raise Unavailable(
            "There is no broker to run: install Mosquitto 2.0 or newer (apt install mosquitto), or set mqtt.host to"
            " the broker that you have."
        )

    async def _spawn(self, recipe: Recipe) -> None:
        process = BrokerProcess(recipe, self._host)
        number = await process.start()
        self._process = process
        me = os.getpid()
        running = _Running(broker=number, daemon=me, daemon_started=psutil.Process(me).create_time())
        await asyncio.to_thread(write_private, self._pid_file, running.model_dump_json())
        try:
            await process.ready()
        except Unavailable:
            self._process = None
            raise
        self._up.set()

    async def _supervise(self, recipe: Recipe) -> None:
        attempt = 0
        started = time.monotonic()
        while True:
            renewed = False
            if self._process is not None:
                ended = self._process
                code = await ended.wait()
                await ended.end()
                self._process, renewed = None, ended.to_be_renewed
                if renewed:
                    log.info("broker starts again with other accounts", kind=recipe.kind)
                else:
                    log.error("broker ended, starting it again", kind=recipe.kind, code=code)
            if not renewed:
                if time.monotonic() - started > _GOOD_RUN_S:
                    attempt = 0
                await asyncio.sleep(min(_BACKOFF_S[1], _BACKOFF_S[0] * 2**attempt))
                attempt = min(attempt + 1, 10)
            started = time.monotonic()
            try:
                await self._spawn(recipe)
            except (FramedError, OSError) as error:
                log.error("broker cannot be started again, trying on", kind=recipe.kind, reason=str(error))


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(_why_not_listening(host, port, error), field="mqtt.port") from error


def _why_not_listening(host: str, port: int, error: OSError) -> str:
    where = f"framed's own broker cannot listen on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: another program has the port. If that is your MQTT broker, set mqtt.host to use it; else choose"
            " a free port with mqtt.port or --mqtt-port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine does not have that address. Set mqtt.bind to one that it has, or to 0.0.0.0."
    return f"{where}: {error.strerror or error}. Choose another with mqtt.port or --mqtt-port."


def _lives(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False


def _end_and_wait(process: psutil.Process) -> None:
    """For a thread."""
    for _ in range(STOP_TRIES):
        process.terminate()
        try:
            process.wait(STOP_TRY_S)
            return
        except psutil.TimeoutExpired:
            continue  # asked again, then killed
    process.kill()
    process.wait(STOP_TRY_S)
