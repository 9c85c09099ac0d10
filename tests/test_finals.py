"""The second answer to long work reaches who asked for it, and never before the first."""

import asyncio

from framed.finals import Finals, final_answer

DONE = {"id": "j1", "kind": "library_rescan", "state": "succeeded", "transaction": "t1", "result": {"new": 2}}


async def test_who_chose_a_topic_gets_the_end_there_also_where_the_job_was_quicker() -> None:
    finals, answer = Finals(), final_answer(DONE)

    assert finals.wanted("j1", ("mine", b"1")) is None
    assert finals.wanted("j1", ("yours", None)) is None
    assert finals.ended("j1", answer) == [("mine", b"1"), ("yours", None)]
    assert finals.wanted("j1", ("late", None)) == answer
    assert finals.ended("j2", answer) == []


async def test_the_end_waits_for_the_first_answer_of_its_transaction_alone() -> None:
    finals, order = Finals(), list[str]()

    async def end() -> None:
        await finals.after_first("t1")
        order.append("end")

    async with finals.held_back("t1"), finals.held_back(None):
        ending = asyncio.create_task(end())
        await finals.after_first("t2")
        await asyncio.sleep(0)
        order.append("accepted")
    await ending

    assert order == ["accepted", "end"]


def test_a_failed_job_ends_with_its_error() -> None:
    failed = {**DONE, "state": "failed", "error": {"code": "busy", "message": "The disk is full."}, "result": None}

    assert final_answer(DONE) == {"v": 1, "status": "ok", "transaction": "t1", "data": {"new": 2}}
    assert final_answer(failed)["error"]["code"] == "busy"
    assert final_answer({"id": "j", "state": "cancelled"}) == {"v": 1, "status": "error", "data": {}}
