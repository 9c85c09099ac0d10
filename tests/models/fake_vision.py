"""Fakes of the servers that put pictures into words, at their wire, with switches for what goes wrong.

After Ollama's docs/api.md (NDJSON, `{"error"}`, 404 for a missing model) and OpenAI's chat completions as LocalAI and
llama.cpp serve them (SSE, `{"error": {"message", "param"}}`, 503 while loading).
"""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Fault = Literal[
    "", "500", "garbage", "drop", "error_line", "hang", "busy", "loading", "redirect", "400", "blind", "paid"
]


@dataclass
class Asked:
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    picture: bytes
    prompt: str


@dataclass
class FakeVision:
    """`async with`; `url` is where it listens. `faults` are used up one by one, then `fault` holds."""

    says: str = "A cat looks at the camera."
    answers: dict[str, str] = field(default_factory=dict)
    """What it says instead where these words are in the question."""
    fault: Fault = ""
    faults: list[Fault] = field(default_factory=list)
    models: tuple[str, ...] = ("seer",)
    key: str | None = None
    unknown: tuple[str, ...] = ()
    streams: bool = True
    asked: list[Asked] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)
    """The client went away while the server was still computing."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "FakeVision":
        app = web.Application(client_max_size=50_000_000)
        app.router.add_post("/api/chat", self._ollama)
        app.router.add_post("/v1/chat/completions", self._openai)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _ollama(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        message = body["messages"][-1]
        self._note(request, body, base64.b64decode(message["images"][0], validate=True), message["content"])
        fault = self._next()
        if refused := self._refuses(request, body, fault, openai=False):
            return refused
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)

        async def line(said: dict[str, Any]) -> None:
            await response.write(json.dumps(said).encode() + b"\n")

        if fault == "garbage":
            await response.write(b"\x00\xff<html>not json\n")
            return response
        words = self._answer().split(" ")
        for number, word in enumerate(words):
            piece = word if number == 0 else f" {word}"
            await line({"model": body["model"], "message": {"role": "assistant", "content": piece}, "done": False})
            if number == 0 and not await self._goes_on(request, fault):
                return response
            if number == 0 and fault == "error_line":
                await line({"error": "an error was encountered while running the model"})
                return response
        await line({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"})
        return response

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text, image = body["messages"][-1]["content"]
        assert (text["type"], image["type"]) == ("text", "image_url")
        kind, _, data = image["image_url"]["url"].partition(",")
        assert kind == "data:image/jpeg;base64"
        self._note(request, body, base64.b64decode(data, validate=True), text["text"])
        fault = self._next()
        if refused := self._refuses(request, body, fault, openai=True):
            return refused
        for name in self.unknown:
            if name in body:
                said = {"message": f"Unsupported parameter: '{name}'.", "param": name, "code": "unsupported_parameter"}
                return web.json_response({"error": said}, status=400)
        if not self.streams or not body.get("stream"):
            whole = {
                "choices": [{"message": {"role": "assistant", "content": self._answer()}, "finish_reason": "stop"}]
            }
            return web.json_response(whole)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def event(said: dict[str, Any]) -> None:
            await response.write(b"data: " + json.dumps(said).encode() + b"\n\n")

        await response.write(b": keep-alive\n\n")
        if fault == "garbage":
            await response.write(b"data: {not json\n\n")
            return response
        await event({"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]})
        await event({"choices": [{"delta": {"reasoning_content": "It is a cat."}, "finish_reason": None}]})
        for number, word in enumerate(self._answer().split(" ")):
            piece = word if number == 0 else f" {word}"
            await event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
            if number == 0 and not await self._goes_on(request, fault):
                return response
            if number == 0 and fault == "error_line":
                await event({"error": {"message": "backend exited", "code": 500}})
                return response
        await event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        await event({"choices": [], "usage": {"total_tokens": 12}})
        await response.write(b"data: [DONE]\n\n")
        return response

    def _note(self, request: web.Request, body: dict[str, Any], picture: bytes, prompt: str) -> None:
        self.asked.append(Asked(request.path, body, dict(request.headers), picture, prompt))
        self.heard.set()

    def _answer(self) -> str:
        prompt = self.asked[-1].prompt
        return next((says for words, says in self.answers.items() if words in prompt), self.says)

    def _next(self) -> Fault:
        return self.faults.pop(0) if self.faults else self.fault

    def _refuses(
        self, request: web.Request, body: dict[str, Any], fault: Fault, *, openai: bool
    ) -> web.StreamResponse | None:
        def error(status: int, message: str, headers: dict[str, str] | None = None) -> web.StreamResponse:
            said: Any = {"message": message, "code": status, "type": "error"} if openai else message
            return web.json_response({"error": said}, status=status, headers=headers)

        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {request.headers.get('Authorization')}")
        if body["model"] not in self.models:
            return error(404, f"model '{body['model']}' not found")
        match fault:
            case "500":
                return error(500, "llama runner process has terminated: exit status 2")
            case "busy":
                return error(429 if openai else 503, "server busy, please try again", {"Retry-After": "0"})
            case "loading":
                return error(503, "Loading model")
            case "redirect":
                return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/elsewhere"})
            case "400":
                return error(400, f"failed to process the picture of {request.headers.get('Authorization')}")
            case "blind":
                return error(400, "this model is missing data required for image input")
            case "paid":
                return error(429, "You exceeded your current quota (insufficient_quota)")
        return None

    async def _goes_on(self, request: web.Request, fault: Fault) -> bool:
        if fault == "drop":
            assert request.transport is not None
            request.transport.close()
            return False
        if fault == "hang":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.broken_off.set()
                raise
        return True
