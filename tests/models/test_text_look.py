"""A photo is read where something resembles text, and wholly only where there are words."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from framed.models.base import Context, HostKind
from framed.models.ocr_scripts import Line
from framed.models.text_look import READ_PX, Part, TextLook
from framed.models.text_turn import Found, Pixels

BLACK = np.zeros((1080, 1440, 3), np.uint8)
CORNER = Part(0.9, 0.9, 0.95, 0.95)


class Reader(TextLook):
    """Sees text where it is told to, reads `said` anywhere, and keeps what sizes it was asked to read."""

    name: ClassVar[str] = "fake"
    host: ClassVar[HostKind] = "cpu"
    model_id: ClassVar[str] = "fake"
    memory_mb: ClassVar[int] = 1

    def __init__(self, seen: Sequence[Part], said: Line | None) -> None:
        self.seen, self.said = seen, said
        self.sizes: list[tuple[int, int]] = []
        self.sides: list[int] = []
        self.load({}, "cpu")

    @classmethod
    def available(cls) -> str | None:
        return None

    def glance(self, bgr: Pixels) -> Sequence[Part]:
        return self.seen

    def read(self, bgr: Pixels, side: int) -> Sequence[Found]:
        self.sizes.append((bgr.shape[1], bgr.shape[0]))
        self.sides.append(side)
        corners = [[10, 10], [60, 10], [60, 30], [10, 30]]
        return [Found(self.said, corners, bgr[10:30, 10:60])] if self.said else []


def look(seen: Sequence[Part], said: Line | None, pixels: Pixels = BLACK) -> tuple[dict[str, Any], Reader]:
    reader = Reader(seen, said)
    return reader.run({"pixels": pixels}, Context()), reader


def test_where_nothing_resembles_text_nothing_is_read() -> None:
    answer, reader = look([], Line("WORDS", 1.0))
    assert answer["lines"] == []
    assert reader.sizes == []


def test_what_only_resembles_text_is_read_alone_with_a_margin_at_the_scale_of_a_reading() -> None:
    answer, reader = look([CORNER], Line("mmm", 0.3))

    assert answer["lines"] == []
    assert reader.sizes == [(260, 195)]  # 5 hundredths of each side and 8 more around it, up to the picture's edge
    assert reader.sides == [math.ceil(260 * READ_PX / 1440)]
    assert answer["looked"] == READ_PX  # weights for another script may read it


def test_parts_that_meet_are_read_as_one_and_those_that_are_most_of_a_picture_as_the_whole() -> None:
    _, near = look([Part(0.1, 0.1, 0.2, 0.2), Part(0.3, 0.1, 0.4, 0.2), Part(0.8, 0.8, 0.9, 0.9)], None)
    _, most = look([Part(0.1, 0.1, 0.9, 0.9), CORNER], None)

    assert len(near.sizes) == 2
    assert most.sizes == [(1440, 1080)]


def test_words_in_a_part_have_the_whole_read_and_then_finely_around_them() -> None:
    answer, reader = look([CORNER], Line("WORDS", 0.6))
    assert reader.sizes == [(260, 195), (1440, 1080)]  # at 0.6 they are a reason to look, and no words that are kept
    assert answer["lines"] == []

    answer, reader = look([CORNER], Line("WORDS", 0.9))
    assert reader.sizes[:2] == [(260, 195), (1440, 1080)]
    assert reader.sizes[2][0] < 300
    assert answer["lines"] == [{"text": "WORDS", "score": 0.9, "box": [0.0069, 0.0093, 0.0347, 0.0185]}]


def test_a_part_of_a_narrow_picture_holds_a_pixel_at_least() -> None:
    _, reader = look([Part(0.0, 0.0, 0.01, 0.01)], None, np.zeros((9, 900, 3), np.uint8))
    assert min(reader.sizes[0]) == 1
