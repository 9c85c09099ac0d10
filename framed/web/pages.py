"""The web pages and what they load, read once from this package: nothing of a URL is ever a file's path."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from aiohttp import web

from framed.web.pictures import matches, not_modified

KIND_OF_ENDING = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
CACHE = "no-cache"


@dataclass(frozen=True)
class Page:
    body: bytes
    kind: str
    etag: str

    def response(self, request: web.Request, *, status: int = 200) -> web.Response:
        """The page, or 304 where the client has it; an error page always goes in full."""
        if status == 200 and matches(request.if_none_match, self.etag):
            return not_modified(self.etag, CACHE)
        headers = {"ETag": f'"{self.etag}"', "Cache-Control": CACHE} if status == 200 else {"Cache-Control": "no-store"}
        return web.Response(body=self.body, status=status, content_type=self.kind, charset="utf-8", headers=headers)


@dataclass(frozen=True)
class Pages:
    """Every file by its name. `frame_version` changes when the frame page does: open pages reload themselves."""

    files: Mapping[str, Page]
    frame_version: str

    @staticmethod
    async def load() -> "Pages":
        return await asyncio.to_thread(_load)

    def __getitem__(self, name: str) -> Page:
        return self.files[name]

    def asset(self, name: str) -> Page | None:
        """What a page may load by name; pages themselves have their own addresses."""
        return None if name.endswith(".html") else self.files.get(name)


def _load() -> Pages:
    bodies = {
        file.name: file.read_bytes()
        for file in (resources.files("framed.web") / "pages").iterdir()
        if file.name.rpartition(".")[2] in KIND_OF_ENDING
    }
    frame_parts = b"\0".join(bodies[name] for name in ("frame.html", "frame.css", "frame.js", "frame_awake.js"))
    frame_version = hashlib.sha256(frame_parts).hexdigest()[:12]
    bodies["frame.html"] = bodies["frame.html"].replace(b"{version}", frame_version.encode())
    return Pages({name: _page(name, body) for name, body in bodies.items()}, frame_version)


def _page(name: str, body: bytes) -> Page:
    return Page(body, KIND_OF_ENDING[name.rpartition(".")[2]], hashlib.sha256(body).hexdigest()[:32])
