"""Connections of the web server: who speaks no HTTP, sends it drop by drop, never reads, comes by the thousand."""

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from framed.errors import BadRequest, TimedOut
from framed.web.api import error_envelope, json_response

log = structlog.get_logger(__name__)

HEAD_S = 10.0
"""From the first byte of a request to the end of its headers."""
IDLE_S = 120.0
"""Without a byte: a new connection, and one kept alive for the next request. Proxies pool theirs for a minute."""
ANSWER_S = 600.0
"""For a client to take an answer; streams are written elsewhere and have their own."""
MOST_CONNECTIONS = 800
"""A process may usually have 1,024 files open."""


class Protocol(RequestHandler):
    """aiohttp waits for a request's headers as long as for an idle connection, and for a reader for ever."""

    __slots__ = ("_head_s", "_head_timer")

    def __init__(self, *args: Any, head_s: float, **kwargs: Any) -> None:
        super().__init__(*args, keepalive_timeout=IDLE_S, **kwargs)
        self._head_s = head_s
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Waiting for a request, or for the rest of its headers."""
        return self._waiter is not None and not self._waiter.done()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.idle:
            self._stop_head_timer()
        elif data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._head_s, self._too_slow)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            log.info("an answer was not taken in time", client=request.remote, path=request.path)
            self.force_close()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        # the bytes themselves stay out of the log: they may be a token in a header that is too long
        log.info("not a valid HTTP request", client=request.remote, reason=type(exc).__name__)
        response = json_response(error_envelope(BadRequest("This is not a valid HTTP request.")), status=400)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Server"] = "framed"  # else aiohttp names itself and its version
        response.force_close()
        return response

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.idle or self.transport is None:
            return
        log.info("request headers came too slowly", seconds=self._head_s)
        body = json_response(error_envelope(TimedOut("The request's headers did not arrive in time."))).body
        assert isinstance(body, bytes)
        head = (
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(web.Server):
    """Past the most connections the one that has been idle longest goes; where none is idle, the new one."""

    def __init__(self, *args: Any, head_s: float, most_connections: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_s = head_s
        self._most_connections = most_connections

    def __call__(self) -> RequestHandler:
        return Protocol(self, loop=self._loop, head_s=self._head_s, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) <= self._most_connections:
            return
        others = (one for one in self.connections if one is not handler and isinstance(one, Protocol) and one.idle)
        crowded_out = next(others, handler)
        log.info("too many connections, closing one", open=len(self.connections), new=crowded_out is handler)
        crowded_out.force_close()


class Runner(web.AppRunner):
    """An AppRunner whose connections are ours; aiohttp has no public place for that."""

    def __init__(
        self, *args: Any, head_s: float = HEAD_S, most_connections: int = MOST_CONNECTIONS, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._head_s = head_s
        self._most_connections = most_connections

    async def _make_server(self) -> Any:
        server = await super()._make_server()
        return Server(
            server.request_handler,
            request_factory=server.request_factory,
            head_s=self._head_s,
            most_connections=self._most_connections,
            **self._kwargs,
        )
