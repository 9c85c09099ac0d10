"""A request is always answered, once: by its transaction, over restarts, and when it is broken off."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from framed.errors import Busy, UnknownPhoto
from framed.router import Door, Request, Router, answers
from framed.store.database import Database


class Wish(Request):
    text: str = Field("", max_length=20)
    plan: dict[str, int] = {}


class Counter:
    """Answers how often it was called; `say` can be told to fail or to wait."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    @answers("say", Wish)
    async def say(self, request: Wish) -> dict[str, Any]:
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {"calls": self.calls}

    @answers("other", Wish)
    async def other(self, request: Wish) -> dict[str, Any]:
        return {"other": True}

    @answers("password", Wish, secret=True)
    async def password(self, request: Wish) -> dict[str, Any]:
        return {"password": "opensesame"}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    yield database
    await database.close()


def router(database: Database, handler: Counter) -> Router:
    made = Router(database=database)
    made.add(handler)
    return made


async def test_the_same_transaction_is_done_once_and_answered_the_same_over_a_restart(database: Database) -> None:
    handler = Counter()
    first = await router(database, handler).call("say", b'{"transaction": "t1"}')
    again = await router(database, handler).call("say", {"transaction": "t1"})

    assert first == again == {"v": 1, "status": "ok", "transaction": "t1", "data": {"calls": 1}}


async def test_two_of_a_kind_at_once_share_one_call(database: Database) -> None:
    handler = Counter()
    handler.gate.clear()
    asked = router(database, handler)
    both = [asyncio.create_task(asked.call("say", {"transaction": "t1"})) for _ in range(2)]
    await asyncio.sleep(0)
    handler.gate.set()

    assert [answer["data"] for answer in await asyncio.gather(*both)] == [{"calls": 1}] * 2


async def test_one_automation_run_may_ask_for_two_things_with_its_one_context_id(database: Database) -> None:
    asked = router(database, Counter())

    await asked.call("say", {"transaction": "run"})

    assert (await asked.call("other", {"transaction": "run"}))["data"] == {"other": True}


async def test_a_refusal_that_lasts_is_kept_and_one_that_passes_is_tried_again(database: Database) -> None:
    handler = Counter()
    asked = router(database, handler)
    for error, calls in ((UnknownPhoto("No such photo."), 1), (Busy("Later."), 2), (RuntimeError("a bug"), 2)):
        handler.calls, handler.error = 0, error
        transaction = {"transaction": type(error).__name__}
        first, second = [await asked.call("say", transaction) for _ in range(2)]
        assert first == second
        assert handler.calls == calls


async def test_who_waits_on_the_same_request_is_answered_when_it_breaks(database: Database) -> None:
    handler = Counter()
    handler.gate.clear()
    asked = router(database, handler)
    first = asyncio.create_task(asked.call("say", {"transaction": "t1"}))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(asked.call("say", {"transaction": "t1"}))
    await asyncio.sleep(0.05)
    first.cancel()

    answer = await second

    assert (answer["status"], answer["error"]["code"], answer["transaction"]) == ("error", "internal", "t1")
    handler.gate.set()
    assert (await asked.call("say", {"transaction": "t1"}))["status"] == "ok"


async def test_a_password_is_not_given_where_others_listen(database: Database) -> None:
    asked = router(database, Counter())

    overheard = await asked.call("password", b"{}", overheard=True)

    assert overheard["error"]["code"] == "refused"
    assert (await asked.call("password", {}))["data"] == {"password": "opensesame"}


async def test_a_hostile_key_does_not_come_back_at_length(database: Database) -> None:
    answer = await router(database, Counter()).call("say", {"plan": {"k" * 10_000: "x"}})

    assert answer["error"]["code"] == "bad_request"
    assert len(str(answer)) < 700


async def test_a_full_house_turns_the_next_away_until_somebody_has_left() -> None:
    door = Door(at_once=1, most=2)
    first, second = door.enter(), door.enter()
    with pytest.raises(Busy):
        door.enter()

    async with first:
        pass
    async with door.enter():
        pass
    async with second:
        pass
