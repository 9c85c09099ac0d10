"""The database: one writer thread that groups writes, a few readers, and the schema's version.

SQLite comes from `pysqlite3` alone (design 5.14). Every write runs in a savepoint of an IMMEDIATE transaction, so a
failing one undoes itself and not its neighbours; a write is acknowledged after the commit that holds it.
"""

import asyncio
import errno
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pysqlite3
import structlog
from sqlalchemy import Connection, Engine, create_engine, event, exc

from framed.errors import CannotStore, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

SCHEMA_HEAD = "0004"
"""The newest migration; a test holds it to the folder, so that Alembic is imported only when there is work for it."""

_GROUP = 256
_CACHE_KB = 2048
"""For each connection. The system keeps the file's pages as well: with 8 MB the daemon was 40 MB larger, not faster."""
_DISK_ERRORS = {"full": errno.ENOSPC, "readonly": errno.EROFS, "I/O": errno.EIO, "unable to open": errno.EIO}
_LITTLE_ROOM = 1 << 16


@dataclass
class _Write:
    work: Callable[[Connection], Any]
    durable: bool
    done: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop


class Database:
    """`read` and `write` run a function with a connection off the event loop and give its result.

    Functions must be short: a long write delays every other write, a long read keeps the WAL from being checkpointed.
    """

    def __init__(self, path: Path, *, readers: int = 3) -> None:
        self.path = path
        self._queue: queue.Queue[_Write | None] = queue.Queue()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-read")
        self._writer = threading.Thread(target=self._write_loop, name="store-write", daemon=True)
        self._local = threading.local()
        self._reader_connections: list[Connection] = []
        self._reader_lock = threading.Lock()
        self._write_engine: Engine | None = None
        self._read_engine: Engine | None = None
        self.problem: str | None = None
        """Why nothing can be stored at present; the sentence for health."""
        self.on_reader: Callable[[Any], None] | None = None

    async def start(self) -> None:
        """Opens the file, brings the schema to its head, starts the writer. Unavailable: the file is not ours."""
        await asyncio.to_thread(self._open)
        self._writer.start()

    async def close(self) -> None:
        """Waits for the writes already asked for, then closes; safe to call when `start` failed half-way."""
        if self._writer.is_alive():
            self._queue.put(None)
            await asyncio.to_thread(self._writer.join)
        self._readers.shutdown(wait=True)
        for connection in self._reader_connections:
            connection.close()
        for engine in (self._write_engine, self._read_engine):
            if engine is not None:
                engine.dispose()

    async def write(self, work: Callable[[Connection], T], *, durable: bool = False) -> T:
        """`durable` syncs the disk before answering: for what a person did and could not be derived again."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Write(work, durable, done, loop))
        return await done

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if pysqlite3.sqlite_version_info < (3, 51, 3):
            raise Unavailable(
                f"SQLite {pysqlite3.sqlite_version} has the WAL-reset bug; run: pip install -U 'pysqlite3>=0.6'"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write_engine = self._engine(begin="begin immediate")
        self._read_engine = self._engine(begin="begin")
        try:
            with self._write_engine.connect() as connection:
                self._migrate(connection)
        except exc.DatabaseError as error:
            reason = self._reason(error)
            if isinstance(reason, CannotStore):
                raise reason from error
            raise Unavailable(
                f"The database {self.path.name} cannot be opened ({error.orig}). Put back a backup, or move the file "
                "away: framed then builds a new one from the photo folders."
            ) from error

    def _engine(self, *, begin: str) -> Engine:
        engine = create_engine(f"sqlite:///{self.path}", module=pysqlite3)

        @event.listens_for(engine, "connect")
        def _connected(raw: Any, _record: Any) -> None:
            raw.isolation_level = None
            for pragma in (
                "journal_mode=wal",
                "synchronous=normal",
                "foreign_keys=on",
                "busy_timeout=5000",
                "journal_size_limit=67108864",
                f"cache_size=-{_CACHE_KB}",
                "temp_store=memory",
            ):
                raw.execute(f"pragma {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _migrate(self, connection: Connection) -> None:
        tables = connection.exec_driver_sql("select name from sqlite_master where name = 'alembic_version'").all()
        version = connection.exec_driver_sql("select version_num from alembic_version").scalar() if tables else None
        connection.rollback()
        if version == SCHEMA_HEAD:
            return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Unavailable(
                f"The database was written by a newer framed (schema {version}); install that version again."
            ) from error
        connection.commit()
        log.info("database schema brought up to date", old=version, new=SCHEMA_HEAD)

    # -- threads -------------------------------------------------------------------------------------------------

    def _read(self, work: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            assert self._read_engine is not None
            connection = self._read_engine.connect()
            raw = connection.connection.driver_connection
            if self.on_reader is not None:
                self.on_reader(raw)
            self._local.connection = connection
            with self._reader_lock:
                self._reader_connections.append(connection)
        try:
            return work(connection)
        finally:
            connection.rollback()

    def _write_loop(self) -> None:
        assert self._write_engine is not None
        with self._write_engine.connect() as connection:
            while True:
                batch = self._next_batch()
                if batch:
                    self._commit(connection, [write for write in batch if write is not None])
                if not batch or batch[-1] is None:
                    return

    def _next_batch(self) -> list[_Write | None]:
        batch = [self._queue.get()]
        while batch[-1] is not None and len(batch) < _GROUP:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _commit(self, connection: Connection, batch: list[_Write]) -> None:
        outcomes: list[tuple[_Write, Any, BaseException | None]] = []
        try:
            durable = any(write.durable for write in batch)
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute(f"pragma synchronous={'full' if durable else 'normal'}")
            changes = raw.total_changes
            with connection.begin():
                for write in batch:
                    outcomes.append(self._try(connection, write))
            if raw.total_changes > changes:  # a group that only looked says nothing about the disk
                self.problem = None
        except Exception as error:  # the whole group failed: disk full, file damaged
            reason = self._reason(error)
            if str(reason) != self.problem:
                log.error("the database could not be written", problem=str(reason))
            self.problem = str(reason) if isinstance(reason, CannotStore) else None
            outcomes = [(write, None, reason) for write in batch]
        for write, result, problem in outcomes:
            write.loop.call_soon_threadsafe(_resolve, write.done, result, problem)

    def _try(self, connection: Connection, write: _Write) -> tuple[_Write, Any, BaseException | None]:
        try:
            with connection.begin_nested():
                return write, write.work(connection), None
        except Exception as error:
            raw = connection.connection.driver_connection
            if raw is None or not raw.in_transaction:
                raise  # SQLite rolled the whole transaction back (disk full)
            return write, None, self._reason(error)

    def _reason(self, error: BaseException) -> BaseException:
        """CannotStore where the disk is at fault. What SQLite said first counts: it may have undone savepoints too."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, exc.OperationalError):
                said = str(cause.orig)
                number = next((number for words, number in _DISK_ERRORS.items() if words in said), None)
                if number is not None:
                    # Where a file of its own cannot grow, SQLite calls a full disk an I/O error.
                    full = number == errno.EIO and self._room() < _LITTLE_ROOM
                    return CannotStore.because(OSError(errno.ENOSPC if full else number, said))
            cause = cause.__context__
        return error

    def _room(self) -> int:
        found = os.statvfs(self.path.parent)
        return found.f_bavail * found.f_frsize


def _resolve(done: "asyncio.Future[Any]", result: Any, problem: BaseException | None) -> None:
    if done.cancelled():
        return
    if problem is not None:
        done.set_exception(problem)
    else:
        done.set_result(result)
