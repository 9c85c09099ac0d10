"""What a batch's calls cost one another when one of them goes wrong, with a backend that does what the test says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from framed.analysis.look import PreviewLook
from framed.analysis.previews import Previews
from framed.analysis.step import Outcome
from framed.errors import BadPhoto, FramedError, Unavailable
from framed.models.base import Call, Progress
from framed.models.catalogue import Choice
from framed.store.photos import PhotoWork


class Backend:
    """Answers with the names of the pictures, unless `says` raises."""

    def __init__(self, says: Callable[[list[str]], Any] = lambda names: names) -> None:
        self.says = says
        self.calls: list[list[str]] = []

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        self.calls.append([path.decode() for path in call.inputs["paths"]])
        return {"names": self.says(self.calls[-1])}


class Shelf:
    async def ensure(self, photo: PhotoWork) -> Path:
        return Path(photo.uid)


class Step(PreviewLook):
    name, version, batch = "look", 1, 4

    def choice(self) -> Choice:
        return Choice("fake", "fake-1", "model", "")

    def together(self, chosen: Choice) -> int:
        return 2

    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]:
        return [Outcome("completed", {"of": name}) for _, name in zip(photos, answer["names"], strict=True)]


async def looked(backend: Backend) -> list[tuple[str, str | None]]:
    photos = [PhotoWork(number, name, {}, {}) for number, name in enumerate("abcd", start=1)]
    outcomes = await Step(backend, cast(Previews, Shelf())).run(photos)
    return [(outcome.state, outcome.problem) for outcome in outcomes]


def failing(name: str, error: Exception) -> Callable[[list[str]], list[str]]:
    def says(names: list[str]) -> list[str]:
        if name in names:
            raise error
        return names

    return says


async def test_a_batch_is_several_calls() -> None:
    backend = Backend()
    assert await looked(backend) == [("completed", None)] * 4
    assert backend.calls == [["a", "b"], ["c", "d"]]


async def test_a_bad_photo_costs_neither_its_call_nor_the_others() -> None:
    backend = Backend(failing("b", BadPhoto("It cannot be read.")))
    assert await looked(backend) == [
        ("completed", None),
        ("failed", "It cannot be read."),
        ("completed", None),
        ("completed", None),
    ]
    assert sorted(backend.calls) == [["a"], ["a", "b"], ["b"], ["c", "d"]]


async def test_where_the_backend_goes_away_what_other_calls_did_is_kept() -> None:
    backend = Backend(failing("c", Unavailable("It is gone.")))
    assert await looked(backend) == [("completed", None)] * 2 + [("unavailable", "It is gone.")] * 2
    assert sorted(backend.calls) == [["a", "b"], ["c", "d"]]


async def test_an_answer_of_another_length_is_nobodys() -> None:
    assert await looked(Backend(lambda names: [*names, "x"])) == [("failed", "look failed on this photo.")] * 4


async def test_what_nobody_foresaw_tells_nothing_from_inside() -> None:
    outcomes = await looked(Backend(failing("d", RuntimeError("secret"))))
    assert outcomes[3] == ("failed", "look failed on this photo.")
    assert (await looked(Backend(failing("d", FramedError("A sentence.")))))[3] == ("failed", "A sentence.")
