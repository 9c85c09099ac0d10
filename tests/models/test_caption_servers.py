"""Ollama and OpenAI's protocol at the wire: what is asked, what is made of every kind of answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from framed.errors import TimedOut, Unavailable
from framed.models import vision_settings
from framed.models.caption_ollama import Ollama
from framed.models.caption_openai import OpenAi
from framed.models.catalogue import choose
from framed.models.vision_server import BadAnswer, VisionServer
from framed.models.vision_settings import CaptionSettings
from tests.models.fake_vision import FakeVision, Fault

PICTURE = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
AT_ONCE = (0.0, 0.0)
KINDS: list[type[VisionServer]] = [Ollama, OpenAi]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    before = vision_settings.used()
    yield
    vision_settings.use(before)


@pytest.fixture
async def fake() -> AsyncIterator[FakeVision]:
    async with FakeVision() as server:
        use(server)
        yield server


def use(server: FakeVision, model: str = "seer", **more: object) -> None:
    said = {"url": server.url, "model": model, **more}
    vision_settings.use(CaptionSettings.model_validate({"ollama": said, "openai": said}))


async def caption(kind: type[VisionServer]) -> str:
    async with kind.open(AT_ONCE) as server:
        return await server.caption(PICTURE, "What is it?")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_picture_and_the_question_arrive_and_the_streamed_words_come_back(
    fake: FakeVision, kind: type[VisionServer]
) -> None:
    assert await caption(kind) == "A cat looks at the camera."
    (asked,) = fake.asked
    assert (asked.picture, asked.prompt, asked.body["model"]) == (PICTURE, "What is it?", "seer")
    assert asked.body["stream"] is True
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["500", "garbage", "drop", "error_line", "busy", "loading"])
async def test_what_may_pass_is_tried_again(fake: FakeVision, kind: type[VisionServer], fault: Fault) -> None:
    fake.faults = [fault, fault]
    assert await caption(kind) == "A cat looks at the camera."
    assert len(fake.asked) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["500", "garbage", "drop", "error_line"])
async def test_what_does_not_pass_is_a_bad_answer(fake: FakeVision, kind: type[VisionServer], fault: Fault) -> None:
    fake.fault = fault
    with pytest.raises(BadAnswer, match=f"^{kind.name} at 127.0.0.1"):
        await caption(kind)
    assert len(fake.asked) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "says", "times"),
    [
        ("busy", "is busy", 3),
        ("loading", "is busy", 3),
        ("redirect", "is not there but elsewhere", 1),
        ("blind", "does not look at pictures", 1),
        ("paid", "wants to be paid", 1),
    ],
)
async def test_what_is_the_servers_own_affair_makes_it_unavailable(
    fake: FakeVision, kind: type[VisionServer], fault: Fault, says: str, times: int
) -> None:
    fake.fault = fault
    with pytest.raises(Unavailable, match=says):
        await caption(kind)
    assert len(fake.asked) == times


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there_is_said_at_once(kind: type[VisionServer]) -> None:
    async with FakeVision() as gone:
        use(gone)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await caption(kind)


async def test_a_missing_model_names_the_command(fake: FakeVision) -> None:
    use(fake, "llava")
    with pytest.raises(Unavailable, match="ollama pull llava"):
        await caption(Ollama)
    with pytest.raises(Unavailable, match="has no model 'llava'"):
        await caption(OpenAi)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_hangs_is_left_in_time_and_told_so(fake: FakeVision, kind: type[VisionServer]) -> None:
    fake.fault = "hang"
    use(fake, timeout_s=1)
    with pytest.raises(TimedOut, match="no caption in 1 s"):
        await caption(kind)
    async with asyncio.timeout(40):
        await fake.broken_off.wait()
    assert len(fake.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_who_cancels_ends_the_servers_work(fake: FakeVision, kind: type[VisionServer]) -> None:
    fake.fault = "hang"
    task = asyncio.create_task(caption(kind))
    async with asyncio.timeout(40):
        await fake.heard.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await fake.broken_off.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_key_goes_to_the_server_and_into_no_sentence(fake: FakeVision, kind: type[VisionServer]) -> None:
    fake.key = "sk-verysecret"
    use(fake, api_key="sk-verysecret")
    assert await caption(kind) == "A cat looks at the camera."
    assert "verysecret" not in repr(vision_settings.used())

    fake.fault = "400"  # its message repeats the key
    with pytest.raises(BadAnswer) as bad:
        await caption(kind)
    assert "verysecret" not in bad.value.message

    use(fake, api_key="sk-another")
    with pytest.raises(Unavailable, match="refused the request; see captions") as refused:
        await caption(kind)
    assert "another" not in refused.value.message


async def test_a_field_that_a_server_does_not_know_is_left_out_from_then_on(fake: FakeVision) -> None:
    fake.unknown = ("max_tokens", "temperature")
    assert await caption(OpenAi) == "A cat looks at the camera."
    before = len(fake.asked)
    assert await caption(OpenAi) == "A cat looks at the camera."
    assert len(fake.asked) == before + 1
    assert "temperature" not in fake.asked[-1].body
    assert fake.asked[-1].body["max_completion_tokens"] >= 200


async def test_a_server_that_does_not_stream_is_understood(fake: FakeVision) -> None:
    fake.streams = False
    assert await caption(OpenAi) == "A cat looks at the camera."


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_without_end_is_cut(fake: FakeVision, kind: type[VisionServer]) -> None:
    fake.says = "word " * 5_000
    assert len(await caption(kind)) == 8_000


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
async def test_an_address_is_taken_with_or_without_its_version(fake: FakeVision, path: str) -> None:
    vision_settings.use(CaptionSettings.model_validate({"openai": {"url": fake.url + path, "model": "seer"}}))
    assert await caption(OpenAi) == "A cat looks at the camera."


def test_a_server_is_chosen_only_where_one_is_configured() -> None:
    vision_settings.use(CaptionSettings())
    chosen = choose("caption")
    assert chosen.backend == "assembled"
    assert "captions.ollama.url in config.yaml" in chosen.reason
    vision_settings.use(CaptionSettings.model_validate({"ollama": {"url": "http://127.0.0.1:1"}}))
    assert choose("caption").backend == "ollama"
    assert vision_settings.server("ollama") is not None


@pytest.mark.parametrize("url", ["ftp://host", "http://name:secret@host", "host:11434", "http://host/?key=1"])
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        CaptionSettings.model_validate({"ollama": {"url": url}})
