"""kill -9 at any moment: nothing is lost, nothing is done twice, and the frame keeps its picture.

The real daemon runs as a process of its own and is killed by its pid. What was done is read from `photo_steps`: every
stored run of a step raises `attempts` and sets `at`, so a row that a kill left behind and that is still the same at the
end was not analysed again. Work in flight leaves no row, and is the only work that is done a second time.
"""

import hashlib
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.broker_fixtures import Mosquitto
from tests.flows.processes import (
    STEP_ROWS,
    Daemon,
    Home,
    Killed,
    Watcher,
    kill_when,
    retained_now,
    running,
    until,
    write_photos,
)

pytestmark = [pytest.mark.models, pytest.mark.broker, pytest.mark.timeout(300)]

PHOTOS = 16
LATE = ("faces", "ocr")
"""The deeper looks; these pictures are small and hold no text, so that they cost little."""
SHOW = "framed/frame/wall/show"
Rows = dict[tuple[int, str], tuple[Any, ...]]


@dataclass
class House:
    """A home and its broker, which outlives every daemon, and somebody who hears all that is said on it."""

    home: Home
    port: int
    watcher: Watcher
    daemon: Daemon = field(init=False)
    """The run that is up between two kills; one goes on where the last test needed it no more."""

    def rows(self) -> Rows:
        return {(photo, step): tuple(rest) for photo, step, *rest in self.home.rows(STEP_ROWS)}

    def complete(self) -> bool:
        whole = self.home.value("select count(*) from photos where state = 'completed'") == PHOTOS
        return whole and all(looked(self.home, step) == PHOTOS for step in LATE)

    def start(self) -> Daemon:
        self.daemon = daemon = self.home.start().up()
        until(lambda: daemon.ask("health")["data"]["mqtt"]["connected"])
        return daemon


def looked(home: Home, step: str) -> int:
    """How many photos have had a deeper look."""
    return int(home.value("select count(*) from photo_steps where step = ? and version > 0", step) or 0)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    write_photos(folder / "photos", PHOTOS, edge=400)
    wall = {"id": "wall", "width": 1600, "height": 1200, "palette": "spectra6", "interval_s": 86_400}
    with Mosquitto(folder) as broker, Watcher(broker.port, "framed/#") as watcher:
        home = Home.at(folder, {"host": "127.0.0.1", "port": broker.port}, frames=[wall])
        house = House(home, broker.port, watcher)
        yield house
        house.daemon.end()


# -- indexing --------------------------------------------------------------------------------------------------------


@dataclass
class Indexed:
    kills: list[Killed]
    stop: tuple[int, float]
    stop_orphans: list[str]
    status: str
    rows: Rows
    states: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def indexed(house: House) -> Indexed:
    """A kill and a clean stop at random points of one import, kills while it looks for faces and reads text, each in a
    run of its own; then it may finish."""
    home, chance = house.home, random.Random()

    def further(steps: int) -> Any:
        wanted = (home.value("select count(*) from photo_steps") or 0) + steps
        return lambda: (home.value("select count(*) from photo_steps") or 0) >= wanted

    kills = []
    with home.start() as daemon:
        kills.append(kill_when(daemon, further(chance.randint(1, PHOTOS * 3))))
    with running(home) as daemon:
        until(further(1), 60)
        daemon.ask("frame/cmd", frame="wall", action="refresh")
        stop = daemon.stop()
        stop_orphans = daemon.orphans(0.5)
        status = retained_now(house.port, "framed/status")
    kills.append(Killed(house.rows(), "ok", stop_orphans))
    for step in LATE:
        with home.start() as daemon:
            kills.append(kill_when(daemon, lambda step=step: looked(home, step)))  # type: ignore[misc]
    house.start()
    until(house.complete, 200, every=0.1)
    rows = house.rows()
    states = home.rows("select state, count(*) from photos group by state")
    return Indexed(kills, stop, stop_orphans, status, rows, states)


def test_every_photo_is_complete_after_kills_during_indexing(indexed: Indexed) -> None:
    assert indexed.states == [("completed", PHOTOS)]
    assert {state for _, state, _, _ in indexed.rows.values()} <= {"completed", "skipped"}


def test_kills_land_amid_the_deeper_looks(indexed: Indexed) -> None:
    done = [sum(step == look for _, step in kill.rows) for look, kill in zip(LATE, indexed.kills[2:], strict=True)]

    assert done[0] > 0  # so small pictures are through with faces in moments, and the kill may come a step later
    assert 0 < done[1] < PHOTOS


def test_nothing_is_analysed_twice_but_what_was_in_flight(indexed: Indexed) -> None:
    again = [key for kill in indexed.kills for key, row in kill.rows.items() if indexed.rows[key] != row]

    assert again == []
    assert {attempts for _, _, attempts, _ in indexed.rows.values()} == {1}


def test_a_kill_leaves_a_sound_database_and_no_orphan(indexed: Indexed) -> None:
    assert [kill.integrity for kill in indexed.kills] == ["ok"] * 4
    assert [kill.orphans for kill in indexed.kills] == [[]] * 4


def test_a_stop_amid_indexing_and_rendering_is_clean_and_quick(indexed: Indexed) -> None:
    status, seconds = indexed.stop

    assert status == 0
    assert seconds < 5
    assert indexed.status == "offline"
    assert indexed.stop_orphans == []


# -- a job, a compute host -------------------------------------------------------------------------------------------

REQUEST = "framed/request/library/reanalyse"
ANSWER = "framed/response/library/reanalyse"


@dataclass
class Worked:
    refused: subprocess.CompletedProcess[str]
    job: str
    before: Killed
    since: float
    lost_calls: int
    given_up: int
    after: Rows
    answers: list[dict[str, Any]]
    said: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[tuple[Any, ...]] = field(default_factory=list)


@pytest.fixture(scope="module")
def worked(house: House, indexed: Indexed) -> Worked:
    """A long job: first a compute host is killed under it, then the daemon; then the same request comes once more.
    The deeper looks are asked for by it too, and taken when it is through."""
    home, watcher = house.home, house.watcher

    def redone() -> int:
        query = (
            "select count(*) from photo_steps, jobs where kind = 'library_reanalyse' and at >= payload ->> '$.since'"
        )
        return int(home.value(query) or 0)

    def busy_model_host() -> int | None:
        hosts = house.daemon.ask("health")["data"]["hosts"]
        return next((host["pid"] for host in hosts if host["kind"] == "model" and host["state"] == "busy"), None)

    daemon = house.daemon
    refused = second_on_the_same_folder(home)
    watcher.publish(REQUEST, transaction="once-more")
    job = watcher.wait(ANSWER)["data"]["job"]
    psutil.Process(until(busy_model_host, every=0.03)).kill()
    until(lambda: daemon.said("a call lost its compute host"))
    reached = redone()
    before = kill_when(daemon, lambda: redone() > reached)
    lost_calls, given_up = (len(daemon.said(f"a call {what}")) for what in ("lost its compute host", "was given up"))
    since = float(home.value("select payload ->> '$.since' from jobs where id = ?", job))
    house.start()
    watcher.wait(ANSWER, lambda answer: answer["status"] == "ok", 120)
    after = house.rows()
    watcher.publish(REQUEST, transaction="once-more")
    until(lambda: len(watcher.payloads(ANSWER)) >= 3)
    watcher.publish("framed/request/job/list", transaction="afterwards")
    watcher.wait("framed/response/job/list")
    jobs = home.rows("select id, state, lease_owner from jobs where kind = 'library_reanalyse'")
    said = watcher.payloads(f"framed/job/{job}")
    return Worked(refused, job, before, since, lost_calls, given_up, after, watcher.payloads(ANSWER), said, jobs)


def second_on_the_same_folder(home: Home) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framed", "run", "--config", str(home.folder / "config.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_daemon_on_the_same_folder_is_refused_in_a_sentence(worked: Worked) -> None:
    assert worked.refused.returncode != 0
    assert "already runs on" in worked.refused.stderr
    assert "data_dir" in worked.refused.stderr
    assert "Traceback" not in worked.refused.stderr


def test_a_killed_compute_host_is_replaced_and_its_call_retried_once(worked: Worked) -> None:
    assert (worked.lost_calls, worked.given_up) == (1, 0)
    assert {state for _, state, _, _ in worked.after.values()} <= {"completed", "skipped"}


def test_a_job_goes_on_after_a_kill_and_answers_once(worked: Worked) -> None:
    assert len(worked.answers) == 3, worked.answers
    accepted, final, repeated = worked.answers

    assert (accepted["status"], final["status"]) == ("accepted", "ok")
    assert final["transaction"] == "once-more"
    assert final["data"] == {"photos": PHOTOS, "failed": 0, "waiting": 0}
    assert repeated == accepted
    assert worked.said[-1]["state"] == "succeeded"
    assert worked.jobs == [(worked.job, "succeeded", None)]


def test_a_job_that_goes_on_does_nothing_again(worked: Worked) -> None:
    done = {key: row for key, row in worked.before.rows.items() if row[3] >= worked.since}

    assert done
    assert len(done) < len(worked.after)
    assert {key: worked.after[key] for key in done} == done
    assert {attempts for (_, step), (_, _, attempts, _) in worked.after.items() if step not in LATE} == {1}


def test_deeper_looks_that_were_asked_anew_are_so_after_a_kill(worked: Worked) -> None:
    asked = {key: row for key, row in worked.after.items() if key[1] in LATE and row[3] < worked.since}

    assert asked
    assert {(version, state) for version, state, _, _ in asked.values()} == {(0, "completed")}


# -- a picture -------------------------------------------------------------------------------------------------------


@dataclass
class Rendered:
    old: dict[str, Any]
    old_bytes: bytes
    position: int
    kept: dict[str, Any]
    wanted: str
    said: list[Any]
    bytes_again: bytes


@pytest.fixture(scope="module")
def rendered(house: House, worked: Worked) -> Rendered:
    """A frame shows one photo, is asked for another, and the daemon is killed over the rendering."""
    home, watcher = house.home, house.watcher
    daemon = house.daemon
    first, second = unrendered(home)
    daemon.ask("playlist/set", frame="wall", photos=[first])
    old = watcher.wait(SHOW, lambda show: show["photo"] == first)
    old_bytes = daemon.get(old["url"])
    watcher.publish("framed/request/playlist/set", frame="wall", photos=[second])
    kill_when(daemon, lambda: position(home) == -1)
    at = position(home)
    kept = retained_now(house.port, SHOW)
    begun = len(watcher.payloads(SHOW))
    bytes_again = house.start().get(old["url"])
    watcher.wait(SHOW, lambda show: show["photo"] == second)
    return Rendered(old, old_bytes, at, kept, second, watcher.payloads(SHOW)[begun:], bytes_again)


def unrendered(home: Home) -> list[str]:
    """Two photos that no frame has had rendered."""
    query = "select uid from photos where id not in (select photo_id from renders) order by id limit 2"
    return [uid for (uid,) in home.rows(query)]


def position(home: Home) -> Any:
    return home.value("select position from frame_states where frame_id = 'wall'")


def test_a_frame_keeps_its_picture_over_a_kill_and_then_gets_the_new_one(rendered: Rendered) -> None:
    assert rendered.position == -1  # killed before the new picture was done
    assert rendered.kept == rendered.old
    assert None not in rendered.said
    assert list(dict.fromkeys(show["photo"] for show in rendered.said)) == [rendered.old["photo"], rendered.wanted]
    assert (rendered.said[0]["url"], rendered.said[0]["sha256"]) == (rendered.old["url"], rendered.old["sha256"])


def test_a_picture_address_serves_the_same_bytes_after_a_kill(rendered: Rendered) -> None:
    assert hashlib.sha256(rendered.old_bytes).hexdigest() == rendered.old["sha256"]
    assert rendered.bytes_again == rendered.old_bytes


def test_a_cleared_cache_empties_no_frame_and_its_picture_is_made_again(house: House, rendered: Rendered) -> None:
    house.daemon.kill()
    begun = len(house.watcher.payloads(SHOW))
    last = rendered.said[-1]
    shutil.rmtree(house.home.folder / "data" / "pictures")
    shutil.rmtree(house.home.folder / "data" / "cache")
    daemon = house.start()

    until(lambda: house.home.value("select sha256 from renders where sha256 = ?", last["sha256"]))
    again = daemon.get(last["url"])

    assert hashlib.sha256(again).hexdigest() == last["sha256"]
    assert {show and show["photo"] for show in house.watcher.payloads(SHOW)[begun:]} == {last["photo"]}


# -- one id ----------------------------------------------------------------------------------------------------------


def test_of_two_daemons_with_one_id_the_loser_says_what_to_do_and_keeps_away(
    house: House, rendered: Rendered, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    other = Home.at(tmp_path, {"host": "127.0.0.1", "port": house.port})
    with running(other) as two:
        pair = (house.daemon, two)

        def problems() -> list[str]:
            found = [daemon.ask("health")["data"].get("problem", "") for daemon in pair]
            return [problem for problem in found if "allows only one at a time" in problem]

        problem = until(problems, 90)[0]
        until(lambda: any(daemon.ask("health")["data"]["mqtt"]["connected"] for daemon in pair), 30)

    assert "client id 'framed-home'" in problem
    assert "`instance`" in problem
