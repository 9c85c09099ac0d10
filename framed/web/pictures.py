"""Picture files as responses: strong ETag, 304, ranges, and how long they may be kept."""

import asyncio
import re

from aiohttp import ETag, hdrs, web

from framed.errors import BadRequest, UnknownPhoto
from framed.web.ports import PictureFile

# `private`: what a token opened, a shared cache must not hand to the next one.
IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATE = "private, no-cache"

SMALLEST_SIDE, LARGEST_SIDE = 16, 7680
MOST_PIXELS = 7680 * 4320


class PictureResponse(web.FileResponse):
    """A FileResponse that keeps our ETag: aiohttp's own is made of the file's time, which changes when a cache is
    copied, and its Last-Modified would answer 304 for another, older picture."""

    def __init__(self, picture: PictureFile, *, cache: str) -> None:
        super().__init__(picture.path, headers={hdrs.CONTENT_TYPE: picture.mime, hdrs.CACHE_CONTROL: cache})
        self.picture_etag = picture.etag

    def correct_validators(self) -> None:
        self.headers[hdrs.ETAG] = f'"{self.picture_etag}"'
        self.headers.pop(hdrs.LAST_MODIFIED, None)


async def correct_validators(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: the last moment before the headers leave."""
    if isinstance(response, PictureResponse) and response.status in (200, 206):
        response.correct_validators()


async def picture_response(request: web.Request, picture: PictureFile | None, *, cache: str) -> web.StreamResponse:
    """The picture, or 304 where the client has it. Raises UnknownPhoto where there is none, or no longer."""
    if picture is None:
        raise UnknownPhoto("There is no such picture here.")
    if matches(request.if_none_match, picture.etag):
        return not_modified(picture.etag, cache)
    if not await asyncio.to_thread(picture.path.is_file):
        raise UnknownPhoto("This picture is not here any more.")
    if_range = request.headers.get(hdrs.IF_RANGE)
    if if_range is not None and if_range != f'"{picture.etag}"':
        # aiohttp knows dates here, not ETags, and would send part of another picture
        body = await asyncio.to_thread(picture.path.read_bytes)
        headers = {hdrs.CACHE_CONTROL: cache, hdrs.ETAG: f'"{picture.etag}"'}
        return web.Response(body=body, content_type=picture.mime, headers=headers)
    return PictureResponse(picture, cache=cache)


def matches(asked: tuple[ETag, ...] | None, etag: str) -> bool:
    """Whether If-None-Match names this ETag; the comparison is the weak one (RFC 9110, 13.1.2)."""
    return any(one.value in (etag, "*") for one in asked or ())


def not_modified(etag: str, cache: str) -> web.Response:
    return web.Response(status=304, headers={hdrs.ETAG: f'"{etag}"', hdrs.CACHE_CONTROL: cache})


def asked_size(request: web.Request) -> tuple[int | None, int | None]:
    """`w` and `h` of the query in pixels, None where one is not asked for; raises BadRequest out of bounds."""
    width, height = asked_side(request, "w"), asked_side(request, "h")
    if (width or SMALLEST_SIDE) * (height or SMALLEST_SIDE) > MOST_PIXELS:
        raise BadRequest("This is more than 7680 × 4320 pixels.", field="w")
    return width, height


def asked_side(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) is None or not SMALLEST_SIDE <= int(text) <= LARGEST_SIDE:
        raise BadRequest(f"`{name}` must be a number of pixels from {SMALLEST_SIDE} to {LARGEST_SIDE}.", field=name)
    return int(text)
