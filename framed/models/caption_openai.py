"""Captions by a vision model behind OpenAI's chat protocol: LocalAI, llama.cpp, vLLM, LM Studio, OpenAI.

They differ in which fields of a request they know. What one of them refuses by name is left out from then on.
"""

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import aiohttp

from framed.models.vision_server import Again, BadAnswer, VisionServer, Words, lines, message_of, object_of

_TOKENS = 200
_OFFERED = ("temperature", "max_tokens", "max_completion_tokens", "stream")
_unknown: dict[str, set[str]] = {}
"""Fields that a server refused, by its address and model."""


class OpenAi(VisionServer):
    name: ClassVar[str] = "openai"
    key: ClassVar[Literal["ollama", "openai"]] = "openai"

    async def _exchange(self, picture: bytes, prompt: str) -> str:
        async with self._post(f"{self._base()}/chat/completions", self._body(picture, prompt)) as response:
            if "json" in response.content_type:  # it does not stream
                return _whole(object_of((await response.content.read(1_000_000)).decode("utf-8")))
            return await self._streamed(response)

    async def _streamed(self, response: aiohttp.ClientResponse) -> str:
        words = Words()
        async for line in lines(response):
            if not line.startswith("data:"):
                continue  # between events, comments that keep the line alive, other fields
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return str(words)
            said = object_of(data)
            if said.get("error"):
                raise Again(BadAnswer(f"openai at {self.settings.host} gave up: {self._redacted(message_of(said))}"))
            choice = _first(said)
            if not words.add((choice.get("delta") or {}).get("content")) or choice.get("finish_reason"):
                return str(words)
        raise Again(BadAnswer(f"openai at {self.settings.host} broke off in the middle of its answer."))

    def _refused(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if status in (400, 422):
            said, known = body.decode(errors="replace"), _unknown.setdefault(self._self(), set())
            named = {field for field in _OFFERED if field in said and field not in known}
            if "max_tokens" in named:
                named -= {"max_completion_tokens"}  # it asks for this one in place of the other
            if named:
                known |= named
                raise Again(BadAnswer(f"openai at {self.settings.host} could not do it ({message_of(body)})."))
        super()._refused(status, headers, body)

    def _body(self, picture: bytes, prompt: str) -> dict[str, Any]:
        image = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": image}}],
                }
            ],
            "stream": True,
            "temperature": 0,
            "max_tokens": _TOKENS,
        }
        unknown = _unknown.get(self._self(), set())
        if "max_tokens" in unknown:
            body["max_completion_tokens"] = _TOKENS * 10  # such models think first, and that counts
        return {key: value for key, value in body.items() if key not in unknown}

    def _base(self) -> str:
        url = self.settings.url or ""
        return url if urlsplit(url).path else f"{url}/v1"

    def _self(self) -> str:
        return f"{self.settings.url} {self.settings.model}"


def _first(said: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError where it has no choices; the last event of some has none and tells the cost."""
    choices = said.get("choices")
    if choices == []:
        return {}
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise ValueError("choices are expected")
    found: dict[str, Any] = choices[0]
    return found


def _whole(said: dict[str, Any]) -> str:
    message = _first(said).get("message")
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        raise ValueError("a message is expected")
    return str(message["content"])
