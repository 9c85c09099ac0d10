"""The list of backends, and choosing among them."""

import subprocess
import sys
from typing import Any

import pytest

from framed.errors import Unavailable
from framed.models.base import Backend, Call, Context, backend_class
from framed.models.catalogue import BACKENDS, Catalogue, Entry, choose, report
from framed.models.pool import ComputeSettings, HostPool


class Missing(Backend):
    task = "paint"
    name = "missing"
    host = "model"

    @classmethod
    def available(cls) -> str | None:
        return "The brush is missing: pip install brush"

    def load(self, options: dict[str, Any], device: str) -> None:
        return

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        return {}


class Present(Missing):
    @classmethod
    def available(cls) -> str | None:
        return None


def _entry(name: str, kind: str, model_id: str = "") -> Entry:
    return Entry("paint", name, f"tests.models.test_catalogue:{kind}", "model", model_id)


CATALOGUE = Catalogue([_entry("first", "Missing", "m1"), _entry("second", "Present", "m2"), _entry("third", "Present")])


@pytest.mark.parametrize("entry", [e for e in BACKENDS if e.host != "daemon"], ids=lambda entry: entry.backend)
def test_the_list_says_of_a_backend_what_its_class_says(entry: Entry) -> None:
    kind = backend_class(entry.where)
    assert (kind.task, kind.name, kind.host, kind.model_id) == (entry.task, entry.backend, entry.host, entry.model_id)
    why_not = kind.available()  # the base install is complete, but for what is downloaded
    assert why_not is None or "framed models pull" in why_not
    assert not entry.always or not kind.model_id


def test_auto_takes_the_first_usable_and_says_what_it_passed_over() -> None:
    choice = CATALOGUE.choose("paint")
    assert (choice.backend, choice.model_id, choice.host) == ("second", "m2", "model")
    assert choice.reason == "first: The brush is missing: pip install brush"


def test_a_wanted_backend_is_taken_or_refused_with_its_reason() -> None:
    assert CATALOGUE.choose("paint", "third").backend == "third"
    with pytest.raises(Unavailable, match="first, configured for paint, cannot be used: The brush is missing"):
        CATALOGUE.choose("paint", "first")
    with pytest.raises(Unavailable, match="It is off in the configuration"):
        CATALOGUE.choose("paint", "off")
    with pytest.raises(Unavailable, match="no backend 'fourth' for paint; there are: first, second, third"):
        CATALOGUE.choose("paint", "fourth")
    with pytest.raises(Unavailable, match="Nothing in this installation does dance"):
        CATALOGUE.choose("dance")


def test_the_report_names_what_is_used_and_what_is_missing() -> None:
    assert CATALOGUE.report() == {
        "paint": {
            "backend": "second",
            "model": "m2",
            "state": "ready",
            "reason": "first: The brush is missing: pip install brush",
        }
    }
    assert Catalogue([_entry("first", "Missing", "m1")]).report()["paint"]["state"] == "unavailable"


def test_a_backend_that_cannot_be_imported_is_unavailable_and_harms_nothing() -> None:
    broken = Entry("paint", "broken", "tests.models.nowhere:Nothing", "model")
    choice = Catalogue([broken, _entry("second", "Present")]).choose("paint")
    assert choice.backend == "second"
    assert "ModuleNotFoundError" in choice.reason


def test_a_base_installation_is_ready_for_every_task_but_those_that_have_downloaded_models_only() -> None:
    downloaded = {"query_embedding", "aesthetics"}
    states = {task: line["state"] for task, line in report().items() if task not in downloaded}
    assert states == dict.fromkeys((entry.task for entry in BACKENDS if entry.task not in downloaded), "ready")


def test_asking_what_is_available_imports_no_heavy_library() -> None:
    asked = (
        "import sys; from framed.models.catalogue import report; report(); import framed.models.pool;"
        "print({'torch', 'PIL', 'scipy', 'tokenizers', 'pillow_heif', 'rawpy'} & set(sys.modules))"
    )
    outcome = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert (outcome.stdout, outcome.stderr) == ("set()\n", "")


@pytest.mark.models
async def test_places_and_text_are_answered_by_one_light_host() -> None:
    points = [[43.4628, 11.8796], [0.0, -30.0], [float("nan"), 1.0]]
    async with HostPool(ComputeSettings()) as pool:
        places = await pool.run(Call("places", choose("places").backend, {"points": points}))
        texts = await pool.run(Call("text_embedding", choose("text_embedding").backend, {"texts": ["a dog"]}))
        hosts = pool.status()
    assert [[place["name"] for place in nearest][:1] for nearest in places["places"]] == [["Arezzo"], [], []]
    assert texts["vectors"].shape == (1, 384)
    assert [host["name"] for host in hosts] == ["light-1"]
