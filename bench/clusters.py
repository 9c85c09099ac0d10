"""Grouping faces into people, at the size of a large library: `python bench/clusters.py [faces] [dims]`.

Made-up vectors of 100,000 faces and 512 numbers, whose neighbourhoods are like those that ArcFace makes of a family's
photos: a few people in thousands of pictures, hundreds in tens, and half of all faces strangers seen once to three
times. Two good faces of one person have a cosine of 0.68 ± 0.07, poor ones (a third) of about 0.45; different people
have 0 ± 0.06, and one in six people has a sibling at 0.35. People come two or three to a photo.

Prints seconds, CPU seconds and the most memory above the vectors, of grouping everything anew and of letting a few new
faces join; and the share of pairs of good faces put together that are one person, and of pairs of one person that are
put together.
"""

import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from framed.analysis import clusters

LIMIT = clusters.LIMITS["arcface-w600k-r50"]
STRANGERS = 0.5
POOR = 0.33
SIBLINGS = 6
ALIKE = 0.35
"""The cosine of two siblings' middles."""
NEW = 50


def sizes(faces: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each person is seen: by a power law those of the house, once to three times the strangers."""
    known = int(faces * (1 - STRANGERS))
    people = max(3, round(known / 60))
    share = 1.0 / np.arange(1, people + 1) ** 1.1
    often = np.maximum(4, np.round(share / share.sum() * known)).astype(np.int64)
    often = often[np.cumsum(often) <= known]
    strangers = random.integers(1, 4, size=(faces - int(often.sum())))
    strangers = strangers[np.cumsum(strangers) <= faces - int(often.sum())]
    rest = faces - int(often.sum()) - int(strangers.sum())
    return np.concatenate([often, strangers, np.ones(rest, np.int64)])


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def made_up(faces: int, dims: int) -> tuple[clusters.Faces, NDArray[np.int64]]:
    """The faces, in the order in which photos come in, and who each is."""
    random = np.random.default_rng(5)
    often = sizes(faces, random)
    middles = unit(random.standard_normal((len(often), dims), np.float32))
    for place in range(0, len(often) - 1, SIBLINGS):
        middles[place + 1] = ALIKE * middles[place] + np.sqrt(1 - ALIKE**2) * middles[place + 1]
    # Three looks of everybody: a beard, glasses, ten years.
    looks = unit(middles[:, None] + 0.35 * unit(random.standard_normal((len(often), 3, dims), np.float32)))
    who = random.permutation(np.repeat(np.arange(len(often)), often))
    poor = random.random(faces) < POOR
    near = np.where(poor, random.normal(0.68, 0.06, faces), random.normal(0.86, 0.03, faces)).astype(np.float32)
    near = near.clip(0.4, 0.97)[:, None]
    vectors = np.empty((faces, dims), np.float32)
    for start in range(0, faces, 10_000):
        part = slice(start, start + 10_000)
        noise = unit(random.standard_normal((len(who[part]), dims), np.float32))
        look = looks[who[part], random.integers(0, 3, len(who[part]))]
        vectors[part] = unit(near[part] * look + np.sqrt(1 - near[part] ** 2) * noise)
    nobody = np.zeros(faces, np.int64)
    quality = np.where(poor, 0.3, random.uniform(0.5, 0.95, faces)).astype(np.float32)
    photo = np.sort(random.integers(0, faces // 2, faces))
    twice = np.ones(faces, np.bool_)  # nobody is in a photo twice
    twice[np.unique(np.stack([photo, who]), axis=1, return_index=True)[1]] = False
    photo[twice] = faces + np.arange(twice.sum())
    return clusters.Faces(photo, vectors, quality, poor, nobody, nobody.copy()), who


@dataclass
class Took:
    seconds: float
    cpu_s: float
    memory_mb: float
    answer: Any


def measured(work: Callable[[], Any]) -> Took:
    """The most memory is looked for ten times a second."""
    process, over = psutil.Process(), threading.Event()
    base = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.1):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    began, cpu = time.monotonic(), time.process_time()
    answer = work()
    took = time.monotonic() - began, time.process_time() - cpu
    over.set()
    watching.join()
    return Took(*took, (peak - base) / 1e6, answer)


def pairs(groups: NDArray[np.int64]) -> int:
    counts = np.unique(groups, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def rightness(person: NDArray[np.int64], who: NDArray[np.int64]) -> tuple[float, float]:
    """The share of pairs put together that are one person, and of pairs of one person that are together."""
    put = person != 0
    both = np.unique(np.stack([person[put], who[put]]), axis=1, return_inverse=True)[1].reshape(-1)
    together = pairs(both)
    return together / max(pairs(person[put]), 1), together / max(pairs(who), 1)


def said(what: str, took: Took) -> None:
    print(f"{what:34} {took.seconds:7.1f} s, {took.cpu_s:7.1f} s of CPU, {took.memory_mb:6.0f} MB", flush=True)


def main(count: int, dims: int) -> None:
    faces, who = made_up(count, dims)
    good = faces.quality >= clusters.GOOD
    print(f"{count} faces of {len(np.unique(who))} people, {dims} numbers each, {faces.vectors.nbytes / 1e6:.0f} MB")
    whole = measured(lambda: clusters.group(faces, LIMIT))
    said("everything grouped anew", whole)
    person = whole.answer.person
    for name, some in (("good faces", good), ("all faces", np.ones(count, np.bool_))):
        right, found = rightness(person[some], who[some])
        print(f"  {name}: {right:.4%} of pairs put together are one person, {found:.1%} of one person's are together")
    sizes_of = np.unique(person[person != 0], return_counts=True)[1]
    print(f"  {len(sizes_of)} groups, {(person == 0).mean():.0%} of the faces nobody, the largest {sizes_of.max()}")
    before = person.copy()
    before[-NEW:] = 0
    said(f"{NEW} new faces join", measured(lambda: clusters.joined(faces, before, LIMIT)))
    print(f"most memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*[*given, *(100_000, 512)[len(given) :]][:2])
