"""The sentence said about an answer reads as a person would say it."""

import numpy as np
import pytest

from framed.playlists.search import Found
from framed.playlists.spoken import speech
from tests.playlists.library import understood


@pytest.mark.parametrize(
    ("asked", "count", "said"),
    [
        ("dark moody photos", 0, "I found no dark moody photos."),
        ("20 photos of Anna", 7, "I found 7 photos of Anna."),
        ("black and white", 1, "I found one black-and-white photo."),
        ("the best photos", 7, "I found the 7 best photos."),
        ("group photos", 2, "I found 2 photos with three people or more."),
        ("just the two of us in Italy", 1, "I found one photo with two people in Italy."),
        ("flowers, temples and coffee", 3, "I found 3 photos of flowers, temples and coffee."),
        ("photos that look like a painting", 0, "I found no painting."),
        ("Anna at the beach last summer", 4, "I found 4 photos of Anna at the beach from June to August 2025."),
        ("Anna's birthday", 2, "I found 2 photos of Anna's birthday."),
        ("Anna hugging Ben", 2, "I found 2 photos of Anna and Ben Miller hugging."),
        ("portraits of Anna", 2, "I found 2 portrait photos of Anna."),
        ("something cheerful", 0, "I found no cheerful photos."),
        ("sunset pictures", 0, "I found no sunset photos."),
        ("photos older than five years", 3, "I found 3 photos from before 15 July 2021."),
        ("in 2015, 2016 and 2018", 3, "I found 3 photos from 2015, 2016 or 2018."),
        ("Anna at Christmas, not from 2019", 3, "I found 3 photos of Anna at Christmas not from 2019."),
        ("the 3 best photos of each year", 9, "I found the 9 best photos, 3 from each year."),
        ("photos from Pariss", 2, "I took “Pariss” for Paris, France. I found 2 photos in Paris, France."),
        ("pictures of my brother", 0, "I don't know who your brother is yet."),
        ("photos of me", 0, "I don't know who you are yet."),
        ("not at night", 2, "I found 2 photos not at night."),
        ("cats", 0, "I found no cats."),
    ],
)
def test_an_answer_is_said_in_plain_words(asked: str, count: int, said: str) -> None:
    found = Found(np.empty(0, np.int64), np.empty(0, np.float32))
    assert speech(understood(asked), count, count, None, found, showing=False) == said


def test_what_a_search_let_go_of_is_not_claimed() -> None:
    found = Found(
        np.empty(0, np.int64),
        np.empty(0, np.float32),
        relaxed=["nothing was taken last summer, so up to 10 days before and after count too"],
        dropped=("dates",),
    )
    assert speech(understood("Anna last summer"), 2, 2, "Hall frame", found) == (
        "Showing 2 photos of Anna on the Hall frame. "
        "Nothing was taken last summer, so up to 10 days before and after count too."
    )


def test_photos_that_nobody_has_looked_through_for_faces_are_told() -> None:
    found = Found(np.empty(0, np.int64), np.empty(0, np.float32))
    assert speech(understood("group photos"), 0, 0, "Hall frame", found, unlooked=12) == (
        "I found no photos with three people or more. I have not looked for faces in 12 photos yet. "
        "The Hall frame keeps its picture."
    )
