"""Captions by a vision model of an Ollama server: `/api/chat`, streamed as a JSON object a line."""

import base64
from typing import Any, ClassVar, Literal

from framed.models.vision_server import Again, BadAnswer, VisionServer, Words, lines, message_of, object_of

_TOKENS = 200


class Ollama(VisionServer):
    name: ClassVar[str] = "ollama"
    key: ClassVar[Literal["ollama", "openai"]] = "ollama"

    async def _exchange(self, picture: bytes, prompt: str) -> str:
        url = f"{(self.settings.url or '').removesuffix('/api')}/api/chat"
        words = Words()
        async with self._post(url, self._body(picture, prompt)) as response:
            async for line in lines(response):
                if not line:
                    continue
                said = object_of(line)
                if "error" in said:  # in the middle of a stream, under status 200
                    problem = self._redacted(message_of(said))
                    raise Again(BadAnswer(f"ollama at {self.settings.host} gave up: {problem}"))
                message = said.get("message")
                if message is not None and not isinstance(message, dict):
                    raise ValueError("a message is expected")
                if not words.add((message or {}).get("content")) or said.get("done") is True:
                    return str(words)
        raise Again(BadAnswer(f"ollama at {self.settings.host} broke off in the middle of its answer."))

    def _body(self, picture: bytes, prompt: str) -> dict[str, Any]:
        return {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": prompt, "images": [base64.b64encode(picture).decode()]}],
            "stream": True,
            "think": False,
            "options": {"temperature": 0, "seed": 1, "num_predict": _TOKENS},
        }

    def _missing(self, said: str) -> str:
        return f"{super()._missing(said)} There: ollama pull {self.settings.model}"
