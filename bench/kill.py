"""What a home loses when framed is killed: `bench/kill.py [photos] [kills]`, 1,000 and 10 unless told otherwise.

It runs `python -m framed run` on generated photos, kills it by kill -9 at random moments of its start, of the import
and of the deeper looks (faces, text) that follow it, lets the last run finish, and compares `photo_steps` as each kill
left it with how it is at the end. One line of JSON a kill and one at the end; exits 1 where a photo is lost or a stored
step was done again. Of a photo with text in it the description is made anew when the text was read: told apart.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pysqlite3

sys.path.insert(0, str(Path(__file__).parent.parent))

from framed.analysis.steps import all_steps, late_steps
from tests.broker_fixtures import Mosquitto
from tests.flows.processes import STEP_ROWS, Home, kill_when, until, write_photos

Rows = dict[tuple[int, str], tuple[Any, ...]]

EARLY = 0.2
"""So many of the kills come within seconds of the start, the others when some more is done."""
PATIENCE_S = 900.0

NOTHING: Any = None
"""For steps that are asked for no more than their names."""
EARLY_STEPS = all_steps(database=NOTHING, compute=NOTHING, previews=NOTHING, hemisphere="north", backends={})

TOLD_ANEW = ("description", "text_embedding")
WITH_TEXT = "select photo_id from photo_steps where step = 'ocr' and coalesce(result ->> '$.text', '') <> ''"
FACES_TWICE = "select count(*) from (select 1 from faces group by photo_id, box having count(*) > 1)"


def kill(home: Home, number: int, ready: Callable[[], bool]) -> Rows:
    began = time.monotonic()
    with home.start() as daemon:
        killed = kill_when(daemon, ready, PATIENCE_S)
    states = dict(home.rows("select state, count(*) from photos group by state")) if killed.rows else {}
    late = sum(step in usable() for _, step in killed.rows)
    said = {"kill": number, "after_s": round(time.monotonic() - began, 1), "photos": states}
    said |= {"step_rows": len(killed.rows), "of_them_late": late}
    said |= {"integrity": killed.integrity, "orphans": killed.orphans}
    print(json.dumps(said), flush=True)
    return killed.rows


def moment(home: Home, photos: int, kills: int, chance: random.Random) -> Callable[[], bool]:
    """True from a random moment on: of the first seconds, or when a random share of all the work is done beyond what
    was done before, and up to a quarter of a second later. Faces and text count as half of the work."""
    began = time.monotonic()
    if chance.random() < EARLY:
        seconds = chance.uniform(0.3, 6.0)
        return lambda: time.monotonic() - began > seconds
    target = min(done(home, photos) + chance.uniform(0.0, 2.4 / kills), 0.98)
    later = chance.uniform(0.0, 0.25)
    due = looked = 0.0

    def ready() -> bool:
        nonlocal due, looked
        now = time.monotonic()
        if not due and now - looked > 0.1:
            looked = now
            due = now + later if done(home, photos) >= target else 0.0
        return bool(due) and now >= due

    return ready


def done(home: Home, photos: int) -> float:
    """The share of the work that is stored."""
    late = usable()
    marks = ",".join("?" * len(late))
    query = f"select count(*), count(*) filter (where step in ({marks})) from photo_steps"
    try:
        [(whole, deeper)] = home.rows(query, *late)
    except pysqlite3.OperationalError:
        return 0.0  # no database yet
    early = len(EARLY_STEPS)
    return float((whole - deeper) / (photos * early) + deeper / (photos * len(late))) / 2


@cache
def usable() -> list[str]:
    """The deeper looks that this installation has a model for."""
    steps = late_steps(database=NOTHING, compute=NOTHING, previews=NOTHING, backends={})
    return [step.name for step in steps if step.unavailable() is None]


def finish(home: Home, photos: int) -> tuple[float, tuple[int, float], list[str]]:
    """Seconds of the last run, how its SIGTERM went, and what it left running."""
    began = time.monotonic()
    late = usable()
    marks = ",".join("?" * len(late))
    query = f"""select (select count(*) from photos where state = 'completed') = ?
        and (select count(*) from photo_steps where step in ({marks})) = ?"""

    def complete() -> bool:
        return bool(home.value(query, photos, *late, photos * len(late)))

    with home.start() as daemon:
        until(complete, 60 + photos * 10, every=1.0)
        seconds = time.monotonic() - began
        return seconds, daemon.stop(), daemon.orphans()


def changed(left: list[Rows], final: Rows, with_text: set[int]) -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
    """The rows that a kill left and that are others at the end: done again, and told anew with text that was read
    later."""
    again, anew = set(), set()
    for rows in left:
        for key, row in rows.items():
            photo, step = key
            if final.get(key) == row:
                continue
            read_later = photo in with_text and (photo, "ocr") not in rows
            (anew if step in TOLD_ANEW and read_later else again).add(key)
    return again, anew


def main(photos: int, kills: int, seed: int) -> bool:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_photos(folder / "photos", photos, edge=320)
        with Mosquitto(folder) as broker:
            wall = {"id": "wall", "width": 800, "height": 480, "interval_s": 5}
            home = Home.at(folder, {"host": "127.0.0.1", "port": broker.port}, frames=[wall])
            left = [kill(home, number + 1, moment(home, photos, kills, chance)) for number in range(kills)]
            seconds, (status, stop_s), orphans = finish(home, photos)
        final = {(photo, step): tuple(rest) for photo, step, *rest in home.rows(STEP_ROWS)}
        again, anew = changed(left, final, {photo for (photo,) in home.rows(WITH_TEXT)})
        repeated = home.value("select count(*) from photo_steps where attempts > 1")
        twice = home.value(FACES_TWICE)
        states = dict(home.rows("select state, count(*) from photos group by state"))
        said = {"photos": photos, "kills": kills, "seed": seed, "states": states, "step_rows": len(final)}
        said |= {"late": dict(home.rows("select step, count(*) from photo_steps group by step"))}
        said |= {
            "done_again": len(again),
            "told_anew": len(anew),
            "attempts_over_1": repeated,
            "faces_twice": twice,
            "integrity": home.value("pragma integrity_check"),
        }
        said["late"] = {step: count for step, count in said["late"].items() if step in usable()}
        said |= {"last_run_s": round(seconds, 1), "stop_status": status, "stop_s": round(stop_s, 2), "orphans": orphans}
        print(json.dumps(said), flush=True)
        return states == {"completed": photos} and not again and not repeated and not twice and not orphans


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    photos, kills, seed = [*given, *(1000, 10, random.randrange(10**6))[len(given) :]][:3]
    sys.exit(0 if main(photos, kills, seed) else 1)
