"""Everything under /frame/<f>: the page of a frame and what the page asks for."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from aiohttp import web

from framed.errors import UnknownPhoto
from framed.web.api import dumps, envelope_response, json_response, read_object
from framed.web.auth import Caller, Gatekeeper, NotSignedIn, refuse_foreign_origin, set_frame
from framed.web.pages import Pages
from framed.web.pictures import IMMUTABLE, REVALIDATE, asked_size, matches, not_modified, picture_response
from framed.web.ports import FrameGate, PictureFormat, Pictures, ServerEvent
from framed.web.presence import Presence
from framed.web.stream import Connections, Place, serve_events

SLUG = "[a-z0-9_-]{1,32}"
SHA256 = "[0-9a-f]{64}"
EXTENSION = "jpg|jpeg|png|bmp|webp|avif"


class FrameRoutes:
    def __init__(
        self,
        *,
        gate: FrameGate,
        pictures: Pictures,
        gatekeeper: Gatekeeper,
        pages: Pages,
        presence: Presence,
        streams_per_frame: int,
        heartbeat_s: float,
    ) -> None:
        self._gate = gate
        self._pictures = pictures
        self._gatekeeper = gatekeeper
        self._pages = pages
        self._presence = presence
        self._streams_per_frame = streams_per_frame
        self._heartbeat_s = heartbeat_s
        self._streams: dict[str, Connections] = {}

    def routes(self) -> list[web.RouteDef]:
        at = f"/frame/{{frame:{SLUG}}}"
        return [
            web.get(at, self.page, name="frame_page"),
            web.get(at + "/image.{format:jpg|png|bmp}", self.image),
            web.get(at + f"/p/{{sha256:{SHA256}}}.{{extension:{EXTENSION}}}", self.picture),
            web.get(at + "/playlist.json", self.playlist),
            web.get(at + "/show.json", self.show),
            web.get(at + "/events", self.events),
            web.post(at + "/hello", self.hello),
            web.post(at + "/report", self.report),
            web.post(at + "/cmd", self.command),
        ]

    def end_streams(self) -> None:
        for streams in self._streams.values():
            streams.end_all()

    async def page(self, request: web.Request) -> web.StreamResponse:
        frame, caller = await self._enter(request)
        await self._gate.state(frame)
        response = self._pages["frame.html"].response(request)
        key = request.query.get("k")
        if key is not None and caller.frame == frame:
            set_frame(response, request, frame, key)
        return response

    async def image(self, request: web.Request) -> web.StreamResponse:
        frame, _ = await self._enter(request)
        width, height = asked_size(request)
        format = cast(PictureFormat, request.match_info["format"])
        return await picture_response(request, await self._gate.current(frame, width, height, format), cache=REVALIDATE)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """A rendered picture under the frame's own path, where the frame's cookie goes with it."""
        frame, caller = await self._enter(request)
        sha256 = request.match_info["sha256"]
        if not caller.admin and not await self._gate.may_see(frame, sha256):
            raise UnknownPhoto("This picture is not in the frame's playlist.")
        return await picture_response(request, await self._pictures.rendered(sha256), cache=IMMUTABLE)

    async def playlist(self, request: web.Request) -> web.StreamResponse:
        frame, _ = await self._enter(request)
        return json_with_etag(request, await self._gate.playlist(frame))

    async def show(self, request: web.Request) -> web.StreamResponse:
        frame, _ = await self._enter(request)
        state, show = await self._gate.state(frame), await self._gate.show(frame)
        if "poll" in request.query:
            await self._presence.polled(frame)
        return json_with_etag(
            request,
            {
                "v": 1,
                "page": self._pages.frame_version,
                "show": show and show.model_dump(mode="json", exclude_none=True),
                "state": state.model_dump(mode="json", exclude_none=True),
            },
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The frame's stream. A page that only looks (`?look`: the owner's laptop) is not the frame being there."""
        frame, caller = await self._enter(request)
        await self._gate.state(frame)  # an unknown frame is a plain 404, before a stream exists
        async with self._streams.setdefault(frame, Connections(self._streams_per_frame)).one_more() as place:
            if "look" in request.query:
                return await self._stream(request, frame, caller, place)
            await self._presence.arrived(frame)
            try:
                return await self._stream(request, frame, caller, place)
            finally:
                self._presence.left(frame)

    async def hello(self, request: web.Request) -> web.StreamResponse:
        frame, _ = await self._enter(request)
        await self._gate.hello(frame, await read_object(request))
        return json_response({"v": 1, "status": "ok"})

    async def report(self, request: web.Request) -> web.StreamResponse:
        frame, _ = await self._enter(request)
        await self._gate.report(frame, await read_object(request))
        return json_response({"v": 1, "status": "ok"})

    async def command(self, request: web.Request) -> web.StreamResponse:
        frame, _ = await self._enter(request)
        return envelope_response(await self._gate.command(frame, await read_object(request)))

    async def _stream(self, request: web.Request, frame: str, caller: Caller, place: Place) -> web.StreamResponse:
        return await serve_events(
            request,
            self._gate.events(frame),
            allowed=lambda: self._gatekeeper.still_opens(caller),
            first=self._present(frame),
            place=place,
            heartbeat_s=self._heartbeat_s,
        )

    async def _present(self, frame: str) -> AsyncIterator[ServerEvent]:
        yield ServerEvent(event="hello", data={"page": self._pages.frame_version})
        state, show = await self._gate.state(frame), await self._gate.show(frame)
        yield ServerEvent(event="state", data=state.model_dump(mode="json", exclude_none=True))
        if show is not None:
            yield ServerEvent(event="show", data=show.model_dump(mode="json", exclude_none=True))

    async def _enter(self, request: web.Request) -> tuple[str, Caller]:
        """The frame of the address and who asks, if that one may; every handler here begins with it."""
        frame = request.match_info["frame"]
        caller = await self._gatekeeper.caller(request, frame=frame)
        if not (caller.admin or caller.home or caller.frame == frame):
            raise NotSignedIn("This page opens with the frame's own link. Copy it in framed, under the frame.")
        if request.method == "POST" and caller.by_cookie:
            refuse_foreign_origin(request, self._gatekeeper.public_host)
        return frame, caller


def json_with_etag(request: web.Request, data: Mapping[str, Any]) -> web.Response:
    text = dumps(data)
    etag = hashlib.sha256(text.encode()).hexdigest()[:32]
    if matches(request.if_none_match, etag):
        return not_modified(etag, REVALIDATE)
    headers = {"ETag": f'"{etag}"', "Cache-Control": REVALIDATE}
    return web.Response(text=text, content_type="application/json", headers=headers)
