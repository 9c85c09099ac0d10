"""Groups of faces on vectors whose people are known: two people are never merged, and what was said holds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from framed.analysis.clusters import LIMITS, Faces, Grouping, group, joined, quality

LIMIT = LIMITS["arcface-w600k-r50"]
DIM = 128


def people(count: int, each: int, *, like: float = 0.85, seed: int = 3) -> tuple[Faces, NDArray[np.int64]]:
    """`each` faces of `count` people, every face in a photo of its own, `like` the cosine to its person's middle."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=(count, DIM))
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    who = np.repeat(np.arange(count), each)
    noise = random.normal(size=(len(who), DIM))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = like * middle[who] + np.sqrt(1 - like**2) * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    none = np.zeros(len(who), np.int64)
    faces = Faces(
        photo=np.arange(len(who)),
        vectors=vectors.astype(np.float32),
        quality=np.full(len(who), 0.8, np.float32),
        strict=np.zeros(len(who), np.bool_),
        said=none.copy(),
        before=none.copy(),
    )
    return faces, who


def sets(found: Grouping) -> set[frozenset[int]]:
    return {
        frozenset(np.flatnonzero(found.person == person).tolist()) for person in np.unique(found.person) if person != 0
    }


def test_each_person_is_one_group() -> None:
    faces, who = people(12, 10)

    found = group(faces, LIMIT)

    assert sets(found) == {frozenset(np.flatnonzero(who == person).tolist()) for person in range(12)}


def test_people_in_hundreds_of_photos_beside_strangers_are_one_group_each() -> None:
    """More than a block, and more faces alike than are looked at of each."""
    household, _ = people(2, 400, seed=4)
    strangers, _ = people(300, 1, seed=5)
    together = Faces(
        photo=np.arange(1100),
        vectors=np.concatenate([household.vectors, strangers.vectors]),
        quality=np.random.default_rng(6).uniform(0.5, 0.9, 1100).astype(np.float32),
        strict=np.zeros(1100, np.bool_),
        said=np.zeros(1100, np.int64),
        before=np.zeros(1100, np.int64),
    )

    assert sets(group(together, LIMIT)) == {frozenset(range(400)), frozenset(range(400, 800))}


def test_nobody_is_grouped_where_there_is_no_face_or_only_strangers() -> None:
    none, _ = people(1, 0)
    strangers, _ = people(40, 1)

    assert len(group(none, LIMIT).person) == 0
    assert (group(strangers, LIMIT).person == 0).all()


def test_two_people_with_names_never_merge_however_alike() -> None:
    faces, _ = people(1, 20, like=0.97)  # twins: the same to the model
    faces.said[:3], faces.said[3:6] = 1, 2
    faces.named = {1, 2}

    found = group(faces, LIMIT)

    assert set(found.person[:3]) == {1}
    assert set(found.person[3:6]) == {2}
    assert set(found.person.tolist()) <= {0, 1, 2}


def test_a_group_takes_the_name_that_was_said_of_one_of_its_faces() -> None:
    faces, who = people(3, 8)
    faces.said[5] = 7
    faces.named = {7}

    found = group(faces, LIMIT)

    assert set(found.person[who == 0]) == {7}
    assert 7 not in found.person[who != 0]


def test_a_refused_face_does_not_come_back() -> None:
    faces, who = people(2, 8)
    faces.said[0] = 7
    faces.named = {7}
    faces.refused = {(3, 7), (4, 7)}

    found = group(faces, LIMIT)

    assert 7 not in found.person[[3, 4]]
    assert set(found.person[[0, 1, 2, 5, 6, 7]]) == {7}
    assert 7 not in joined(faces, np.where(who == 0, 7, 0) * (np.arange(16) < 3), LIMIT)[[3, 4]]


def test_a_group_keeps_its_person_and_a_new_one_gets_none_of_the_old() -> None:
    faces, who = people(3, 6)
    faces.before = np.where(who == 0, 11, np.where(who == 1, 12, 0))

    found = group(faces, LIMIT)

    assert set(found.person[who == 0]) == {11}
    assert set(found.person[who == 1]) == {12}
    assert set(found.person[who == 2]) == {-1}


def test_somebody_is_in_a_photo_once() -> None:
    faces, _ = people(1, 10)
    faces.photo[9] = faces.photo[0]

    found = group(faces, LIMIT)

    assert (found.person[[0, 9]] == 0).sum() == 1


def test_children_are_grouped_only_where_they_are_more_alike() -> None:
    """Faces of one person 0.53 alike: enough for grown people, and as much as two children may be."""
    faces, _ = people(1, 12, like=0.53**0.5, seed=11)
    faces.vectors = _exactly(faces.vectors.shape, 0.53)

    assert len(sets(group(faces, LIMIT))) == 1

    faces.strict[:] = True
    assert (group(faces, LIMIT).person == 0).all()

    faces.vectors = _exactly(faces.vectors.shape, 0.62)
    assert len(sets(group(faces, LIMIT))) == 1


def _exactly(shape: tuple[int, int], like: float) -> NDArray[np.float32]:
    """Unit vectors any two of which have this cosine."""
    rows, dim = shape
    own = np.eye(dim, dtype=np.float32)[1 : rows + 1] * np.sqrt(1 - like)
    own[:, 0] = np.sqrt(like)
    return own


def test_a_poor_face_founds_nothing_and_joins_only_who_is_very_near() -> None:
    faces, _ = people(1, 6, like=0.75)
    faces.quality[:] = 0.2
    faces.strict[:] = True
    assert (group(faces, LIMIT).person == 0).all()

    near, _who = people(2, 6, like=0.9)
    near.quality[[5, 11]], near.strict[[5, 11]] = 0.2, True
    mixed = (near.vectors[11] * 0.5 + near.vectors[0] * 0.5) / np.linalg.norm(near.vectors[11] + near.vectors[0]) * 2
    near.vectors[11] = mixed  # half one, half the other
    found = group(near, LIMIT)
    assert found.person[5] == found.person[0] != 0
    assert found.person[11] == 0


def test_who_was_said_to_be_two_stays_two() -> None:
    faces, _ = people(1, 12, like=0.95)
    faces.said[:4] = 5
    faces.before[4:] = 6
    faces.refused = {(row, 5) for row in range(4, 12)}
    faces.apart, faces.named = {(5, 6)}, {5}

    found = group(faces, LIMIT)

    assert set(found.person[:4]) == {5}
    assert 5 not in found.person[4:]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_order_of_faces_does_not_matter(order: int) -> None:
    faces, _ = people(6, 9, like=0.8)
    turn = np.random.default_rng(order).permutation(len(faces.photo))
    turned, _ = people(6, 9, like=0.8)
    turned.vectors = faces.vectors[turn]

    plain = sets(group(faces, LIMIT))
    again = {frozenset(turn[list(rows)].tolist()) for rows in sets(group(turned, LIMIT))}

    assert plain == again


def test_a_large_sharp_frontal_face_is_good_and_a_small_blurred_or_turned_one_is_not() -> None:
    good = {"pixels": 150.0, "sharpness": 0.5, "turned": 0.1, "score": 1.5, "sure": 1.0}

    assert quality(**good) > 0.9
    assert quality(**good | {"pixels": 24.0}) < 0.45
    assert quality(**good | {"sharpness": 0.03}) < 0.45
    assert quality(**good | {"turned": 1.0}) < quality(**good)
    assert quality(**good | {"score": 0.1}) < 0.5
