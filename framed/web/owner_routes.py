"""What the owner opens: the console, signing in, the verbs, photos, metrics."""

from collections.abc import AsyncIterator
from typing import Any, cast

from aiohttp import web

from framed.errors import BadRequest, NotReady, Refused
from framed.web.api import (
    UnknownAddress,
    envelope_response,
    json_response,
    openapi,
    read_object,
)
from framed.web.auth import SESSION_COOKIE, Caller, Gatekeeper, NotSignedIn, refuse_foreign_origin, set_session
from framed.web.frame_routes import EXTENSION, SHA256, SLUG
from framed.web.pages import Pages
from framed.web.pictures import IMMUTABLE, REVALIDATE, picture_response
from framed.web.ports import Api, FrameGate, Health, PhotoSize, Pictures, ServerEvent
from framed.web.stream import Connections, serve_events

MOST_CONSOLES = 16


class OwnerRoutes:
    """The console page, its sign-in, and the API behind it."""

    def __init__(
        self, *, api: Api, gate: FrameGate, health: Health, gatekeeper: Gatekeeper, pages: Pages, heartbeat_s: float
    ) -> None:
        self._api = api
        self._gate = gate
        self._health = health
        self._gatekeeper = gatekeeper
        self._pages = pages
        self._heartbeat_s = heartbeat_s
        self._consoles = Connections(MOST_CONSOLES)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.console, name="console"),
            web.get("/login", self.login_page),
            web.post("/login", self.sign_in),
            web.post("/logout", self.sign_out),
            web.get("/session", self.session),
            web.get("/healthz", self.healthz),
            web.get("/metrics", self.metrics),
            web.get("/api/v1/openapi.json", self.openapi),
            web.get("/api/v1/events", self.events),
            web.post(f"/api/v1/frame/{{frame:{SLUG}}}/cmd", self.command),
            web.post("/api/v1/{verb:.{1,64}}", self.verb),
            web.get("/static/{name}", self.asset),
            web.get("/favicon.ico", self.icon),
        ]

    def end_streams(self) -> None:
        self._consoles.end_all()

    async def console(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("token")
        if token is not None:
            response: web.StreamResponse = web.Response(
                status=303, headers={"Location": "/", "Cache-Control": "no-store"}
            )
            set_session(response, request, self._gatekeeper.sign_in(request, token))
            return response
        try:
            await self._owner(request)
        except Refused:
            return see_other("/login")
        return self._pages["console.html"].response(request)

    async def login_page(self, request: web.Request) -> web.StreamResponse:
        return self._pages["login.html"].response(request)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        refuse_foreign_origin(request, self._gatekeeper.public_host)
        token = (await read_object(request)).get("token")
        if not isinstance(token, str):
            raise BadRequest("Send the token.", field="token")
        response = json_response({"v": 1, "status": "ok"})
        set_session(response, request, self._gatekeeper.sign_in(request, token.strip()))
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        refuse_foreign_origin(request, self._gatekeeper.public_host)
        response = json_response({"v": 1, "status": "ok"})
        response.del_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Strict", secure=request.secure)
        return response

    async def session(self, request: web.Request) -> web.StreamResponse:
        """Lets the sign-in page notice a session: a SameSite=Strict cookie stays away from the first request
        after a link on another site."""
        return json_response({"signed_in": self._gatekeeper.sessions.valid(request.cookies.get(SESSION_COOKIE, ""))})

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """Open to everybody, so only that framed lives; its details are for the owner."""
        try:
            health = await self._health.health()
        except NotReady:
            return json_response({"status": "starting"}, status=503)
        answer: dict[str, Any] = {"status": "problem" if health.get("problem") else "ok"}
        if self._gatekeeper.sessions.valid(request.cookies.get(SESSION_COOKIE, "")):
            answer["health"] = health
        return json_response(answer)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        await self._owner(request)
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"}
        return web.Response(body=self._health.metrics(), headers=headers)

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        await self._owner(request)
        return json_response(openapi(self._api.verbs()))

    async def events(self, request: web.Request) -> web.StreamResponse:
        await self._owner(request)
        async with self._consoles.one_more() as place:
            return await serve_events(
                request, self._health.events(), first=_nothing(), place=place, heartbeat_s=self._heartbeat_s
            )

    async def command(self, request: web.Request) -> web.StreamResponse:
        await self._owner(request)
        return envelope_response(await self._gate.command(request.match_info["frame"], await read_object(request)))

    async def verb(self, request: web.Request) -> web.StreamResponse:
        await self._owner(request)
        payload = await read_object(request)
        return envelope_response(await self._api.call(request.match_info["verb"], payload, source="http"))

    async def asset(self, request: web.Request) -> web.StreamResponse:
        page = self._pages.asset(request.match_info["name"])
        if page is None:
            raise UnknownAddress("There is nothing at this address.")
        return page.response(request)

    async def icon(self, request: web.Request) -> web.StreamResponse:
        return self._pages["icon.svg"].response(request)

    async def _owner(self, request: web.Request) -> Caller:
        return await require_owner(request, self._gatekeeper)


class PictureRoutes:
    """Rendered pictures by hash, photos by id."""

    def __init__(self, *, pictures: Pictures, gate: FrameGate, gatekeeper: Gatekeeper) -> None:
        self._pictures = pictures
        self._gate = gate
        self._gatekeeper = gatekeeper

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"/p/{{sha256:{SHA256}}}.{{extension:{EXTENSION}}}", self.rendered),
            web.get("/photo/{photo:[A-Za-z0-9_-]{1,64}}/{size:preview|thumb|original}", self.photo),
            web.get("/photo/{photo:[A-Za-z0-9_-]{1,64}}/face/{face:[0-9]{1,15}}", self.face),
        ]

    async def rendered(self, request: web.Request) -> web.StreamResponse:
        caller = await self._gatekeeper.caller(request)
        sha256 = request.match_info["sha256"]
        if not (caller.admin or caller.home or caller.frame):
            raise NotSignedIn("Pictures open with a frame's token (`?k=`), or after signing in.")
        seen = caller.frame is None or await self._gate.may_see(caller.frame, sha256)
        return await picture_response(request, await self._pictures.rendered(sha256) if seen else None, cache=IMMUTABLE)

    async def photo(self, request: web.Request) -> web.StreamResponse:
        """A photo of the library. Originals hold where they were taken, so an open network does not get them,
        and no frame's token opens the library."""
        caller = await self._gatekeeper.caller(request)
        size = cast(PhotoSize, request.match_info["size"])
        if not caller.admin and not (caller.home and size != "original"):
            raise not_the_owner(caller)
        return await picture_response(
            request, await self._pictures.photo(request.match_info["photo"], size), cache=REVALIDATE
        )

    async def face(self, request: web.Request) -> web.StreamResponse:
        """One face of a photo, for the owner: who is in the photos is nobody else's business."""
        await require_owner(request, self._gatekeeper)
        found = await self._pictures.face(request.match_info["photo"], int(request.match_info["face"]))
        return await picture_response(request, found, cache=REVALIDATE)


def see_other(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})


async def require_owner(request: web.Request, gatekeeper: Gatekeeper) -> Caller:
    """The owner, from our own page where a cookie says so; raises NotSignedIn or Refused."""
    caller = await gatekeeper.caller(request)
    if not caller.admin:
        raise not_the_owner(caller)
    if request.method == "POST" and caller.by_cookie:
        refuse_foreign_origin(request, gatekeeper.public_host)
    return caller


def not_the_owner(caller: Caller) -> Refused:
    if caller.frame is not None:
        return Refused("A frame's token opens that frame only.")
    return NotSignedIn("Sign in first, or send the admin token as Authorization: Bearer.")


async def _nothing() -> AsyncIterator[ServerEvent]:
    return
    yield
