"""Which faces are one person: groups from likeness, bound by what people said of faces.

First the good faces, by a strict likeness: each takes the name of the neighbours that it resembles most (Chinese
whispers; Biemann 2006), which unlike linking by nearest neighbours does not chain two siblings together through a
hundred lookalikes. Then the others join the person whose several centroids they are clearly nearest to. What a person
said holds throughout: such a face keeps its name, takes no name it was refused, and two people with names never merge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
Pairs = tuple[Ids, Ids, Vectors]
"""A row, another row or a person's centroid, and how alike they are."""

GOOD = 0.45
"""The quality from which a face may found a group; poorer ones only join."""
_NEIGHBOURS = 24
_BLOCK = 256
_COLUMNS = 8_192
_ROUNDS = 20
_NAME_WEIGHS = 3.0
"""A neighbour whom somebody's word reached counts as so many without a name."""
_CENTROIDS = 6
_LEAST_GROUP = 2
_SAMPLE = 300


@dataclass(frozen=True)
class Limits:
    """Cosines of a model's vectors. `core` and up: one person, both faces good. `join`: near a person's centroid;
    `strict`: both, where one is a child's face or a poor one, which resemble too many others. `margin`: by how much it
    must be nearer than anybody else."""

    core: float
    join: float
    strict: float
    margin: float
    sure: float
    """The detector's score of a face that it has no doubt about."""


LIMITS = {
    # dlib's own limit is a distance of 0.6 (LFW 99.38 %); its vectors have a length of about 1.4, so that is a cosine
    # of 0.91. Of 55 pairs of real faces different people had up to 0.911, two portraits of one man 0.964.
    "dlib-resnet-v1": Limits(core=0.935, join=0.93, strict=0.945, margin=0.008, sure=1.0),
    # Immich groups the same vectors at a cosine distance of 0.5, lowered from 0.6 because two people merged are worse
    # than one split; ente asks 0.08 more of blurred and turned faces.
    "arcface-w600k-r50": Limits(core=0.5, join=0.48, strict=0.58, margin=0.05, sure=0.75),
}


def quality(*, pixels: float, sharpness: float, turned: float, score: float, sure: float) -> float:
    """0 to 1: what a face is worth for telling people apart. Both models see 112 to 150 pixels of it."""
    size = np.clip((pixels - 20) / 70, 0.0, 1.0)
    crisp = np.clip(sharpness / 0.3, 0.0, 1.0)
    frontal = 1.0 - 0.7 * np.clip((turned - 0.4) / 0.6, 0.0, 1.0)
    certain = np.clip(score / sure, 0.2, 1.0)
    return float(np.sqrt(size * crisp * frontal * certain))


@dataclass
class Faces:
    """The faces of one model, a row each. `said`: the person that somebody or the file's data named, 0 for none;
    `before`: the person of the last grouping, 0 for none; `strict`: poor, or a child's."""

    photo: Ids
    vectors: Vectors
    quality: NDArray[np.float32]
    strict: NDArray[np.bool_]
    said: Ids
    before: Ids
    refused: set[tuple[int, int]] = field(default_factory=set)
    """Row and the person that it is not."""
    apart: set[tuple[int, int]] = field(default_factory=set)
    """Pairs of people, the smaller id first."""
    named: set[int] = field(default_factory=set)
    """People who have a name."""


@dataclass
class Grouping:
    """`person` of each row: an id, a negative number for each new group, 0 for nobody. `core`: it founded its group."""

    person: Ids
    core: NDArray[np.bool_]


def group(faces: Faces, limits: Limits) -> Grouping:
    """The whole library anew. At most N² / 2 likenesses; of `bench/clusters.py` 100,000 faces take about a minute."""
    founders = np.flatnonzero((faces.quality >= GOOD) | (faces.said != 0))
    if not len(founders):
        return Grouping(np.zeros(len(faces.photo), np.int64), np.zeros(len(faces.photo), np.bool_))
    founders = founders[np.argsort(-faces.quality[founders], kind="stable")]
    labels = _whispered(faces, founders, limits)
    person = np.zeros(len(faces.photo), np.int64)
    person[founders] = _people_of(labels, faces, founders)
    person = _once_a_photo(person, faces, limits)
    person = _merged(person, faces, limits)
    core = person != 0
    return Grouping(joined(faces, person, limits), core)


def joined(faces: Faces, person: Ids, limits: Limits, among: Ids | None = None) -> Ids:
    """Rows without a person (only `among` these, where given) join the one they are clearly nearest to."""
    people, centroids = centroids_of(faces.vectors, person)
    rows = np.flatnonzero(person == 0) if among is None else among[person[among] == 0]
    return _joined_to(faces, person, rows, people, centroids, limits)


def centroids_of(vectors: Vectors, person: Ids) -> tuple[Ids, Vectors]:
    """Up to `_CENTROIDS` unit vectors for each person: glasses, a beard, ten years. The person of each, and they."""
    people: list[int] = []
    found: list[Vectors] = []
    order = np.argsort(person, kind="stable")
    values, starts = np.unique(person[order], return_index=True)
    for value, rows in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
        if value == 0:
            continue
        own = _centroids(vectors[rows])
        people += [value] * len(own)
        found.append(own)
    if not found:
        return np.zeros(0, np.int64), np.zeros((0, vectors.shape[1]), np.float32)
    return np.array(people, np.int64), np.concatenate(found)


def _centroids(vectors: Vectors) -> Vectors:
    if len(vectors) > _SAMPLE:
        vectors = vectors[np.linspace(0, len(vectors) - 1, _SAMPLE).astype(np.int64)]
    wanted = int(min(_CENTROIDS, 1 + len(vectors) // 6))
    seeds = _unit(vectors.mean(axis=0, keepdims=True))
    like = vectors @ seeds[0]
    while len(seeds) < wanted:
        farthest = int(like.argmin())
        seeds = np.concatenate([seeds, vectors[farthest : farthest + 1]])
        like = np.maximum(like, vectors @ vectors[farthest])
    nearest = (vectors @ seeds.T).argmax(axis=1)
    means = [vectors[nearest == one].mean(axis=0) for one in range(len(seeds)) if (nearest == one).sum() >= 2]
    return _unit(np.stack([vectors.mean(axis=0), *means]) if means else vectors.mean(axis=0, keepdims=True))


def _unit(vectors: Vectors) -> Vectors:
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    found: Vectors = (vectors / length).astype(np.float32)
    return found


# -- the good faces --------------------------------------------------------------------------------------------------


@dataclass
class _Later:
    """Rows yet to come, ascending, and their vectors side by side: picking them out for each block would cost more than
    comparing them."""

    rows: Ids
    vectors: Vectors

    def drop_before(self, place: int) -> None:
        passed = int(np.searchsorted(self.rows, place))
        self.rows, self.vectors = self.rows[passed:], self.vectors[passed:]


def _neighbours(faces: Faces, picked: Ids, limits: Limits) -> Pairs:
    """Pairs of places in `picked` that are at least `core` alike, `strict` where one is a child, both ways: from, to,
    weight. Of very many neighbours the first, the best pictures. Two faces of one photo are two people, unless they are
    the same picture of a collage.

    Every block is compared with what comes after it, so that each likeness is worked out once. A row that has all its
    neighbours is full, and two full rows are not compared: the household's own faces, in thousands of photos, are.
    """
    vectors, photo, strict, count = faces.vectors, faces.photo[picked], faces.strict[picked], len(picked)
    had = np.zeros(count, np.int64)
    twin = 1.0 - (1.0 - limits.core) / 4
    wanting, full = _Later(np.arange(count), vectors[picked]), _Later(np.zeros(0, np.int64), vectors[:0])
    found: list[Pairs] = []
    for start in range(0, count, _BLOCK):
        own = np.arange(start, min(start + _BLOCK, count))
        block = vectors[picked[own]]
        for later in (wanting, full):
            later.drop_before(start + len(own))
        if (had[wanting.rows] >= _NEIGHBOURS).sum() * 8 > len(wanting.rows):
            wanting, full = _parted(vectors, picked, np.arange(start + len(own), count), had)
        open_ones = had[own] < _NEIGHBOURS
        one, other, like = _together(
            [
                _alike(own, block, own, block, limits.core),
                _alike(own, block, wanting.rows, wanting.vectors, limits.core),
                _alike(own[open_ones], block[open_ones], full.rows, full.vectors, limits.core),
            ]
        )
        keep = (one != other) & ((photo[one] != photo[other]) | (like >= twin))
        keep &= ~(strict[one] | strict[other]) | (like >= limits.strict)
        found.append(_first(one[keep], other[keep], like[keep], start + len(own), had))
    source, target, like = _together(found)
    return source, target, like - limits.core + np.float32(0.01)


def _parted(vectors: Vectors, picked: Ids, places: Ids, had: Ids) -> tuple[_Later, _Later]:
    """The places that want neighbours, and those that have enough."""
    enough = had[places] >= _NEIGHBOURS
    wanting, full = places[~enough], places[enough]
    return _Later(wanting, vectors[picked[wanting]]), _Later(full, vectors[picked[full]])


def _alike(rows: Ids, these: Vectors, columns: Ids, those: Vectors, least: float) -> Pairs:
    """The pairs of a row and a column that are at least so alike, and how alike."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for start in range(0, len(columns) if len(rows) else 0, _COLUMNS):
        like = these @ those[start : start + _COLUMNS].T
        at = np.flatnonzero(like >= least)
        row, column = np.divmod(at, like.shape[1])
        found.append((rows[row], columns[start + column], like.ravel()[at]))
    return _together(found)


def _together(parts: Sequence[Pairs]) -> Pairs:
    ones, others, likes = zip(*parts, strict=True)
    return np.concatenate(ones), np.concatenate(others), np.concatenate(likes)


def _first(one: Ids, other: Ids, like: Vectors, end: int, had: Ids) -> Pairs:
    """For both sides of each pair the first neighbours that it still wants; counted in `had`. Pairs within the block,
    which ends at `end`, are there both ways already."""
    across = other >= end
    source, target = np.concatenate([one, other[across]]), np.concatenate([other, one[across]])
    like = np.concatenate([like, like[across]])
    wants = had[source] < _NEIGHBOURS
    source, target, like = source[wants], target[wants], like[wants]
    order = np.lexsort((target, source))
    source, target, like = source[order], target[order], like[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    first = place < _NEIGHBOURS - had[source]
    np.add.at(had, source[first], 1)
    return source[first], target[first], like[first]


def _whispered(faces: Faces, rows: Ids, limits: Limits) -> Ids:
    """A label for each of `rows`: a person's id where somebody's word reached it, else a number over every id."""
    sources, targets, weights = _neighbours(faces, rows, limits)
    sources, targets = np.concatenate([sources, targets]), np.concatenate([targets, sources])
    weights = np.concatenate([weights, weights])
    over = int(max(faces.said.max(initial=0), max((pair[1] for pair in faces.refused), default=0))) + 1
    said = faces.said[rows]
    labels = np.where(said != 0, said, over + np.arange(len(rows)))
    place = {int(row): number for number, row in enumerate(rows)}
    span = over + len(rows)
    refused = np.array([place[row] * span + person for row, person in faces.refused if row in place], np.int64)
    random = np.random.default_rng(7)
    for _ in range(_ROUNDS):
        before = labels
        heard = labels[targets]
        loud = np.where(heard < over, weights * _NAME_WEIGHS, weights)
        best = _loudest(sources, heard, loud, labels, span, refused)
        turn = (random.random(len(rows)) < 0.6) & (said == 0)  # all at once, pairs would swap their labels for ever
        labels = np.where(turn, best, labels)
        if (best == before)[said == 0].all():
            break
    return labels


def _loudest(sources: Ids, heard: Ids, weights: Vectors, own: Ids, span: int, refused: Ids) -> Ids:
    """The label that each row hears most of, its own where it hears none."""
    if not len(sources):
        return own
    key = sources * span + heard
    if len(refused):
        allowed = ~np.isin(key, refused)
        key, weights = key[allowed], weights[allowed]
    keys, inverse = np.unique(key, return_inverse=True)
    total = np.bincount(inverse, weights=weights, minlength=len(keys))
    order = np.lexsort((total, keys // span))
    row = (keys // span)[order]
    last = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else np.zeros(0, np.int64)
    best = own.copy()
    best[row[last]] = (keys % span)[order][last]
    return best


def _people_of(labels: Ids, faces: Faces, rows: Ids) -> Ids:
    """Labels as people: who was said; else who most of the group were before; else a new number under 0."""
    said = set(faces.said[rows].tolist()) - {0}
    found = np.zeros(len(labels), np.int64)
    values, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    taken = set(said)
    new = 0
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(sizes)[:-1])
    for place in np.argsort(-sizes, kind="stable").tolist():
        label, own = int(values[place]), members[place]
        if label in said:
            found[own] = label
            continue
        if sizes[place] < _LEAST_GROUP:
            continue
        person = _most_before(faces.before[rows[own]], taken, faces.named)
        if any((int(row), person) in faces.refused for row in rows[own]):
            person = 0
        if person == 0:
            new -= 1
            person = new
        taken.add(person)
        found[own] = person
    return found


def _most_before(before: Ids, taken: set[int], named: set[int]) -> int:
    """The earlier person of at least half of the group who is not elsewhere already; 0 for none."""
    values, counts = np.unique(before[before != 0], return_counts=True)
    for place in np.argsort(-counts).tolist():
        person = int(values[place])
        if person not in taken and counts[place] * 2 >= len(before):
            return person
    return 0


def _once_a_photo(person: Ids, faces: Faces, limits: Limits) -> Ids:
    """Somebody is in a photo once: of two faces the one less like the person leaves, unless its name was said."""
    twin = 1.0 - (1.0 - limits.core) / 4
    rows = np.flatnonzero(person != 0)
    rows = rows[np.lexsort((person[rows], faces.photo[rows]))]
    same = (faces.photo[rows][1:] == faces.photo[rows][:-1]) & (person[rows][1:] == person[rows][:-1])
    if not same.any():
        return person
    person = person.copy()
    people, centroids = centroids_of(faces.vectors, person)
    for place in np.flatnonzero(same).tolist():
        one, other = int(rows[place]), int(rows[place + 1])
        if person[one] == 0 or person[other] == 0 or float(faces.vectors[one] @ faces.vectors[other]) >= twin:
            continue
        own = centroids[people == person[one]]
        like = [(faces.said[row] != 0, float((own @ faces.vectors[row]).max()), row) for row in (one, other)]
        loser = min(like)[2]
        if faces.said[loser] == 0:
            person[loser] = 0
    return person


def _merged(person: Ids, faces: Faces, limits: Limits) -> Ids:
    """Groups whose middles are as near as two faces of one person: a group without a name into the nearest one. Never
    two with names, never who was said to be two, nor who are together in a photo."""
    person = person.copy()
    for _ in range(3):
        order = np.argsort(person, kind="stable")
        values, starts = np.unique(person[order], return_index=True)
        members = [rows for value, rows in zip(values, np.split(order, starts[1:]), strict=True) if value != 0]
        people = values[values != 0]
        if len(people) < 2:
            return person
        means = _unit(np.stack([faces.vectors[rows].mean(axis=0) for rows in members]))
        careful = np.array([faces.strict[rows].mean() > 0.5 for rows in members])
        least = np.where(careful, _as_groups(limits.strict), _as_groups(limits.core))
        pairs = _near(means, least)
        moved: set[int] = set()
        for one, other in pairs:
            small, large = sorted((one, other), key=lambda at: _weight(int(people[at]), len(members[at]), faces.named))
            gone, stays = int(people[small]), int(people[large])
            if gone in moved or stays in moved or gone in faces.named or gone in faces.said[members[small]]:
                continue
            if _kept_apart(gone, stays, members[small], members[large], faces):
                continue
            refusing = [int(row) for row in members[small] if (int(row), stays) in faces.refused]
            if len(refusing) * 2 > len(members[small]):
                continue
            person[members[small]] = stays
            person[refusing] = 0
            moved |= {gone, stays}
        if not moved:
            return person
    return person


def _weight(person: int, size: int, named: set[int]) -> tuple[bool, bool, int]:
    return person in named, person > 0, size


def _as_groups(limit: float) -> float:
    """How alike the middles of two groups are whose faces are as alike as `limit`: noise is averaged out of them."""
    return (limit + 1.0) / 2 if limit < 0.8 else limit + (1.0 - limit) / 3


def _near(means: Vectors, least: Vectors) -> list[tuple[int, int]]:
    """Pairs of rows as alike as both ask for, the nearest first."""
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(means), _BLOCK):
        like = means[start : start + _BLOCK] @ means.T
        asked = np.maximum(least[start : start + _BLOCK, None], least)
        for one, other in zip(*np.nonzero(like >= asked), strict=True):
            if one + start < other:
                found.append((float(like[one, other]), int(one + start), int(other)))
    return [(one, other) for _, one, other in sorted(found, reverse=True)]


def _kept_apart(gone: int, stays: int, small: Ids, large: Ids, faces: Faces) -> bool:
    if (min(gone, stays), max(gone, stays)) in faces.apart:
        return True
    together = np.intersect1d(faces.photo[small], faces.photo[large])
    return len(together) * 10 > min(len(small), len(large))


# -- the others ------------------------------------------------------------------------------------------------------


def _joined_to(faces: Faces, person: Ids, rows: Ids, people: Ids, centroids: Vectors, limits: Limits) -> Ids:
    if not len(rows) or not len(people):
        return person
    person = person.copy()
    taken = set(zip(faces.photo[person != 0].tolist(), person[person != 0].tolist(), strict=True))
    span = int(people.max()) - min(int(people.min()), 0) + 1
    refused = np.array([row * span + who % span for row, who in faces.refused], np.int64)
    wishes: list[tuple[float, int, int]] = []
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        # Who is less alike than this can neither be joined nor make anybody else unclear.
        row, at, like = _alike(
            some,
            faces.vectors[some],
            np.arange(len(people)),
            centroids,
            min(limits.join, limits.strict) - limits.margin,
        )
        allowed = ~np.isin(row * span + people[at] % span, refused)
        wishes += _clear(row[allowed], people[at[allowed]], like[allowed], faces, limits)
    for _, face, wanted in sorted(wishes, reverse=True):
        if (int(faces.photo[face]), wanted) not in taken:
            taken.add((int(faces.photo[face]), wanted))
            person[face] = wanted
    return person


def _clear(rows: Ids, people: Ids, like: Vectors, faces: Faces, limits: Limits) -> list[tuple[float, int, int]]:
    """Of each row the person that it is most like, where it is alike enough and nobody else comes near."""
    order = np.lexsort((-like, people, rows))
    rows, people, like = rows[order], people[order], like[order]
    nearest = np.append(True, (rows[1:] != rows[:-1]) | (people[1:] != people[:-1]))[: len(rows)]
    rows, people, like = rows[nearest], people[nearest], like[nearest]
    order = np.lexsort((-like, rows))
    rows, people, like = rows[order], people[order], like[order]
    best = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    second = np.where(np.append(~best[1:], False), np.append(like[1:], -1.0), -1.0)[: len(rows)]
    least = np.where(faces.strict[rows] | (faces.quality[rows] < GOOD), limits.strict, limits.join)
    clear = best & (like >= least) & (like - second >= limits.margin)
    return list(zip(like[clear].tolist(), rows[clear].tolist(), people[clear].tolist(), strict=True))
