"""What a home loses when framed is killed: `bench/kill.py [photos] [kills]`, 1,000 and 10 unless told otherwise.

It runs `python -m framed run` on generated photos, kills it by kill -9 at random moments of the import, lets the last
run finish, and compares `photo_steps` as each kill left it with how it is at the end. Prints one line of JSON a kill
and one at the end; exits 1 where a photo is lost or a stored step was done again.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.broker_fixtures import Mosquitto
from tests.flows.processes import STEP_ROWS, Home, kill_when, until, write_photos

EXPECTED_S_PER_PHOTO = 0.35
START_S = 6.0
"""Both rough, for the choice of the moments: on two cores without a GPU."""


def kill(home: Home, number: int, seconds: float) -> dict[tuple[int, str], tuple[Any, ...]]:
    began = time.monotonic()
    with home.start() as daemon:
        killed = kill_when(daemon, lambda: time.monotonic() - began > seconds)
    states = dict(home.rows("select state, count(*) from photos group by state")) if killed.rows else {}
    said = {"kill": number, "after_s": round(time.monotonic() - began, 1), "photos": states}
    said |= {"step_rows": len(killed.rows), "integrity": killed.integrity, "orphans": killed.orphans}
    print(json.dumps(said), flush=True)
    return killed.rows


def finish(home: Home, photos: int) -> tuple[float, tuple[int, float], list[str]]:
    """Seconds of the last run, how its SIGTERM went, and what it left running."""
    began = time.monotonic()

    def done() -> bool:
        return bool(home.value("select count(*) from photos where state = 'completed'") == photos)

    with home.start() as daemon:
        until(done, 60 + photos * 3, every=0.5)
        seconds = time.monotonic() - began
        return seconds, daemon.stop(), daemon.orphans()


def main(photos: int, kills: int, seed: int) -> bool:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_photos(folder / "photos", photos, edge=320)
        with Mosquitto(folder) as broker:
            wall = {"id": "wall", "width": 800, "height": 480, "interval_s": 5}
            home = Home.at(folder, {"host": "127.0.0.1", "port": broker.port}, frames=[wall])
            longest = START_S + photos * EXPECTED_S_PER_PHOTO * 1.5 / kills
            left = [kill(home, number + 1, chance.uniform(0.3, longest)) for number in range(kills)]
            seconds, (status, stop_s), orphans = finish(home, photos)
        final = {(photo, step): tuple(rest) for photo, step, *rest in home.rows(STEP_ROWS)}
        again = {key for rows in left for key, row in rows.items() if final.get(key) != row}
        repeated = home.value("select count(*) from photo_steps where attempts > 1")
        states = dict(home.rows("select state, count(*) from photos group by state"))
        said = {"photos": photos, "kills": kills, "seed": seed, "states": states, "step_rows": len(final)}
        said |= {
            "done_again": len(again),
            "attempts_over_1": repeated,
            "integrity": home.value("pragma integrity_check"),
        }
        said |= {"last_run_s": round(seconds, 1), "stop_status": status, "stop_s": round(stop_s, 2), "orphans": orphans}
        print(json.dumps(said), flush=True)
        return states == {"completed": photos} and not again and not repeated and not orphans


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    photos, kills, seed = [*given, *(1000, 10, random.randrange(10**6))[len(given) :]][:3]
    sys.exit(0 if main(photos, kills, seed) else 1)
