"""The second answer to long work: to whom it goes besides the response's topic, and never before the first."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

Asker = tuple[str, bytes | None]
"""The MQTT 5 Response Topic that a requester chose, and its Correlation Data."""

_KEPT = 200


class Finals:
    """Of the last few hundred jobs, in memory: over a restart the answer is said on the response's topic alone."""

    def __init__(self) -> None:
        self._askers: OrderedDict[str, list[Asker]] = OrderedDict()
        self._ended: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._first: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def held_back(self, transaction: str | None) -> AsyncIterator[None]:
        """Until the first answer is out: a short job may end before `accepted` has been written down and said."""
        if transaction is None:
            yield
            return
        said = self._first[transaction] = asyncio.Event()
        try:
            yield
        finally:
            said.set()
            if self._first.get(transaction) is said:
                del self._first[transaction]

    async def after_first(self, transaction: str) -> None:
        if (said := self._first.get(transaction)) is not None:
            await said.wait()

    def wanted(self, job: str, asker: Asker) -> dict[str, Any] | None:
        """Keeps who asked; the answer at once where the job has ended already."""
        if job in self._ended:
            return self._ended[job]
        self._askers.setdefault(job, []).append(asker)
        _bound(self._askers)
        return None

    def ended(self, job: str, answer: dict[str, Any]) -> list[Asker]:
        self._ended[job] = answer
        _bound(self._ended)
        return self._askers.pop(job, [])


def final_answer(job: dict[str, Any]) -> dict[str, Any]:
    """The contract's response, from a finished job's `framed/job/<id>`."""
    response: dict[str, Any] = {"v": 1, "status": "ok" if job["state"] == "succeeded" else "error"}
    if "transaction" in job:
        response["transaction"] = job["transaction"]
    response["data"] = job.get("result") or {}
    if "error" in job and job["state"] != "succeeded":
        response["error"] = job["error"]
    return response


def _bound(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)
