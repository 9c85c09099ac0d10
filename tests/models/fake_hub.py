"""A model hub on this machine, as the real one behaves: redirects to a CDN, ETags, commits; and its bad days."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """`files` by "repo/path". The switches are by the same key; each is used up by the request that meets it."""

    files: dict[str, bytes] = field(default_factory=dict)
    base: str = ""
    cut_at: dict[str, int] = field(default_factory=dict)
    """The connection ends after so many bytes of the whole file."""
    refuses: dict[str, list[int]] = field(default_factory=dict)
    """What it answers to the next requests; 200 is no refusal."""
    retry_after: str = ""
    swaps: dict[str, bytes] = field(default_factory=dict)
    """What the CDN sends instead, while the hub promises the true file."""
    sends_to: str = ""
    """Another place than the CDN."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range) of every request."""
    authorised: list[tuple[str, str]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """Downloads stop at their first byte until it is set."""
    plain: bool = False
    """A mere web server: no commit, no promise of a hash."""

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        key = f"{request.match_info['owner']}/{request.match_info['repo']}/{request.match_info['path']}"
        self._note(request)
        if self.refuses.get(key) and (status := self.refuses[key].pop(0)) != 200:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=status, headers=headers)
        if key not in self.files:
            return web.Response(status=404)
        data = self.files[key]
        headers = {} if self.plain else {"X-Repo-Commit": COMMIT}
        if not key.endswith((".safetensors", ".pth")):
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            return await self._send(request, key, {**headers, "ETag": f'"{git}"'})
        if not self.plain:
            headers |= {"X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": str(len(data))}
        place = self.sends_to or f"{self.base}/cdn/{key}?signature=secret"
        return web.Response(status=302, headers={**headers, "Location": place})

    async def cdn(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        return await self._send(request, request.match_info["key"], {"ETag": '"cdn-1"'})

    async def elsewhere(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        return await self._send(request, request.match_info["key"], {"ETag": '"else-1"'})

    def _note(self, request: web.Request) -> None:
        self.asked.append((request.path, request.headers.get("Range", "")))
        if "Authorization" in request.headers:
            self.authorised.append((request.path, request.headers["Authorization"]))

    async def _send(self, request: web.Request, key: str, headers: dict[str, str]) -> web.StreamResponse:
        data = self.swaps.get(key, self.files[key])
        begin = 0
        wanted = request.headers.get("Range", "")
        if wanted and request.headers.get("If-Range") == headers["ETag"]:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(data):
                return web.Response(status=416)
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        answer = web.StreamResponse(status=206 if begin else 200, headers=headers)
        answer.content_length = len(data) - begin
        await answer.prepare(request)
        end = self.cut_at.pop(key, len(data))
        await answer.write(data[begin : min(begin + 1, end)])
        if self.hold is not None:
            await self.hold.wait()
        await answer.write(data[begin + 1 : end])
        if end < len(data) and request.transport is not None:
            await asyncio.sleep(0.05)  # what was written leaves before the line is cut
            request.transport.close()
            return answer
        await answer.write_eof()
        return answer


@contextlib.asynccontextmanager
async def fake_hub() -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    application = web.Application()
    application.router.add_get("/{owner}/{repo}/resolve/{revision}/{path:.+}", hub.resolve)
    application.router.add_get("/cdn/{key:.+}", hub.cdn)
    application.router.add_get("/elsewhere/{key:.+}", hub.elsewhere)
    runner = web.AppRunner(application, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hub.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hub
    finally:
        if hub.hold is not None:
            hub.hold.set()
        await runner.cleanup()
