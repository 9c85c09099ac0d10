"""The sentence said about an answer reads as a person would say it."""

import numpy as np
import pytest

from framed.playlists.explain import speech
from framed.playlists.search import Found
from tests.playlists.library import understood


@pytest.mark.parametrize(
    ("asked", "count", "said"),
    [
        ("dark moody photos", 0, "I found no dark moody photos."),
        ("20 photos of Anna", 7, "I found 7 photos of Anna."),
        ("black and white", 1, "I found one black-and-white photo."),
        ("the best photos", 7, "I found 7 best photos."),
        ("group photos", 2, "I found 2 photos with three people or more."),
        ("just the two of us in Italy", 1, "I found one photo with two people, in Italy."),
        ("cats", 0, "I found no cats."),
    ],
)
def test_an_answer_is_said_in_plain_words(asked: str, count: int, said: str) -> None:
    found = Found(np.empty(0, np.int64), np.empty(0, np.float32))
    assert speech(understood(asked), count, count, None, found, showing=False) == said
