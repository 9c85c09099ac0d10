"""The daemon's web server: one aiohttp application, its guards, its start and its end."""

import errno
import html
import os
import time
from dataclasses import dataclass, replace

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from framed.errors import FramedError, TooLarge, Unavailable
from framed.web.api import BODY_LIMIT, UnknownAddress, WrongMethod, error_response, status_of
from framed.web.auth import Attempts, Gatekeeper, Sessions
from framed.web.frame_routes import FrameRoutes
from framed.web.owner_routes import OwnerRoutes, PictureRoutes
from framed.web.pages import Pages
from framed.web.pictures import correct_validators
from framed.web.ports import Api, FrameGate, FrameTokens, Health, Pictures
from framed.web.presence import Presence
from framed.web.protocol import HEAD_S, MOST_CONNECTIONS, Runner

log = structlog.get_logger(__name__)

CONTENT_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-src 'none'; frame-ancestors "
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a token in an address must not travel on
    "Cross-Origin-Resource-Policy": "same-site",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
STOP_S = 5.0


@dataclass(frozen=True)
class WebOptions:
    """`host` None listens on every address, IPv6 too; port 0 takes a free one. `embed` are origins that may put
    frame pages into their own pages (a Home Assistant dashboard). `public_host` is the name of framed's own
    address where it is not a local one."""

    host: str | None = None
    port: int = 8480
    open_lan: bool = False
    public_host: str | None = None
    embed: tuple[str, ...] = ()
    head_s: float = HEAD_S
    most_connections: int = MOST_CONNECTIONS
    heartbeat_s: float = 15.0
    streams_per_frame: int = 8
    grace_s: float = 20.0


class WebServer:
    """`start` binds and serves, `close` ends open streams and stops; both may be called once."""

    def __init__(
        self,
        *,
        options: WebOptions,
        api: Api,
        pictures: Pictures,
        gate: FrameGate,
        tokens: FrameTokens,
        health: Health,
        admin_token: str,
    ) -> None:
        self._options = options
        self._api = api
        self._pictures = pictures
        self._gate = gate
        self._health = health
        self._gatekeeper = Gatekeeper(
            sessions=Sessions(admin_token),
            tokens=tokens,
            attempts=Attempts(),
            open_lan=options.open_lan,
            public_host=options.public_host,
        )
        self._presence = Presence(gate, grace_s=options.grace_s)
        self._runner: Runner | None = None
        self._port = options.port

    @property
    def port(self) -> int:
        """The port that is really bound, once started."""
        return self._port

    def reconfigure(self, *, open_lan: bool, embed: tuple[str, ...]) -> None:
        self._options = replace(self._options, open_lan=open_lan, embed=embed)
        self._gatekeeper.open_lan = open_lan

    async def start(self) -> None:
        """Raises Unavailable where the address is taken."""
        runner = Runner(
            await self._application(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=STOP_S,
            head_s=self._options.head_s,
            most_connections=self._options.most_connections,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._options.host, self._options.port).start()
        except OSError as error:
            await runner.cleanup()
            raise Unavailable(_why_not_bound(self._options, error)) from error
        self._runner = runner
        self._port = runner.addresses[0][1]
        log.info("web server started", port=self._port)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._presence.close()

    async def _application(self) -> web.Application:
        pages = await Pages.load()
        frame_routes = FrameRoutes(
            gate=self._gate,
            pictures=self._pictures,
            gatekeeper=self._gatekeeper,
            pages=pages,
            presence=self._presence,
            streams_per_frame=self._options.streams_per_frame,
            heartbeat_s=self._options.heartbeat_s,
        )
        owner_routes = OwnerRoutes(
            api=self._api,
            gate=self._gate,
            health=self._health,
            gatekeeper=self._gatekeeper,
            pages=pages,
            heartbeat_s=self._options.heartbeat_s,
        )
        picture_routes = PictureRoutes(pictures=self._pictures, gate=self._gate, gatekeeper=self._gatekeeper)

        async def end_streams(_: web.Application) -> None:
            frame_routes.end_streams()
            owner_routes.end_streams()

        app = web.Application(client_max_size=BODY_LIMIT, middlewares=[answer_errors(pages)])
        app.add_routes([*owner_routes.routes(), *frame_routes.routes(), *picture_routes.routes()])
        app.on_response_prepare.append(correct_validators)
        app.on_response_prepare.append(self._add_headers)
        app.on_shutdown.append(end_streams)
        return app

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        framed_by = " ".join(("'self'", *self._options.embed)) if request.path.startswith("/frame/") else "'none'"
        response.headers["Content-Security-Policy"] = CONTENT_POLICY + framed_by
        response.headers.popall("Server", None)


def _why_not_bound(options: WebOptions, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        said = f"Port {options.port} is taken by another program, or framed runs already."
    elif error.errno == errno.EADDRNOTAVAIL:
        return f"This machine does not have the address {options.host}: set http.host to one that it has."
    else:
        said = f"Port {options.port} cannot be used: {os.strerror(error.errno) if error.errno else error}."
    return f"{said} Choose another with --http-port or http.port."


def answer_errors(pages: Pages) -> Middleware:
    """Every failure becomes the contract's error, as JSON or, for a person who opened a page, as a page."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        try:
            response = await handler(request)
        except FramedError as error:
            response = _answer(request, error, pages)
        except web.HTTPException as error:
            response = _answer(request, _as_framed(error), pages)
        except ConnectionError:
            raise  # the client has gone; there is nobody to answer
        except Exception:
            log.exception("web request failed", method=request.method, path=request.path)
            response = _answer(request, FramedError("Something went wrong inside framed. Its log has more."), pages)
        ms = round((time.monotonic() - started) * 1000)
        log.debug("web request", method=request.method, path=request.path, status=response.status, ms=ms)
        return response

    return middleware


def _as_framed(error: web.HTTPException) -> FramedError:
    match error.status:
        case 404:
            return UnknownAddress("There is nothing at this address.")
        case 405:
            return WrongMethod("This address answers another method.")
        case 413:
            return TooLarge("The body is over one megabyte.")
        case _:
            return UnknownAddress("This request cannot be answered.")


def _answer(request: web.Request, error: FramedError, pages: Pages) -> web.Response:
    response = error_response(error)
    route = request.match_info.route
    is_page = route.name in ("console", "frame_page") or isinstance(error, UnknownAddress)
    wants_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if not (is_page and wants_page and not request.path.startswith("/api/")):
        return response
    page = pages["error.html"].body.replace(b"{message}", html.escape(error.message).encode())
    shown = web.Response(body=page, status=status_of(error), content_type="text/html", charset="utf-8")
    shown.headers["Cache-Control"] = "no-store"
    if "Retry-After" in response.headers:
        shown.headers["Retry-After"] = response.headers["Retry-After"]
    return shown
