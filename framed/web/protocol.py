"""What a client hears that does not speak HTTP: aiohttp would send its own bytes back and log them as an error."""

from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from framed.errors import BadRequest
from framed.web.api import error_envelope, json_response

log = structlog.get_logger(__name__)


class Protocol(RequestHandler):
    __slots__ = ()

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
        response.force_close()
        return response


class Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """An AppRunner whose connections are ours; aiohttp has no public place for that."""

    async def _make_server(self) -> Any:
        server = await super()._make_server()
        return Server(server.request_handler, request_factory=server.request_factory, **self._kwargs)
