"""Writing is read the right way up, and in the order of whoever holds the photo so."""

from collections.abc import Sequence

import numpy as np

from framed.models.ocr_scripts import Line
from framed.models.text_turn import Found, Pixels, reading_order, right_way_up

FLAT, TALL = [[0, 0], [90, 0], [90, 20], [0, 20]], [[0, 0], [20, 0], [20, 90], [0, 90]]


class Reader:
    """Reads a line that begins with a white pixel as upside down: what it is told to stands at the other end."""

    def __init__(self, *other: Line) -> None:
        self.other = dict(enumerate(other))
        self.asked = 0

    def __call__(self, cut_outs: Sequence[Pixels]) -> list[Line]:
        self.asked += len(cut_outs)
        return [self.other[int(cut_out[-1, -1, 0])] for cut_out in cut_outs]


def found(number: int, text: str, score: float, corners: object) -> Found:
    cut_out = np.full((4, 12, 3), number, np.uint8)
    return Found(Line(text, score), corners, cut_out)  # type: ignore[arg-type]


def said(lines: Sequence[Found]) -> list[tuple[str, int]]:
    return [(each.line.text, each.turn) for each in lines]


def test_the_longest_lines_decide_for_all_of_their_kind() -> None:
    reader = Reader(Line("CHAPTER ONE", 1.0), Line("of a long book", 1.0), Line("which is read", 0.9), Line("12", 0.4))
    tall = ["HNO RDIJPHC", "rood pnol o fo", "bor si hcihw", "21"]

    lines = right_way_up([found(at, text, 0.6, TALL) for at, text in enumerate(tall)], reader)

    assert said(lines) == [("CHAPTER ONE", 270), ("of a long book", 270), ("which is read", 270), ("12", 270)]


def test_lines_that_run_downwards_stay_and_no_more_than_three_are_read_twice() -> None:
    reader = Reader(*[Line("esrever ni", 0.5)] * 5)

    lines = right_way_up([found(at, "downwards", 0.99, TALL) for at in range(5)], reader)

    assert said(lines) == [("downwards", 90)] * 5
    assert reader.asked == 3


def test_lines_that_lie_and_are_read_clearly_are_not_read_twice() -> None:
    reader = Reader()
    lines = right_way_up([found(0, "EXIT", 0.98, FLAT), found(1, "HALT", 0.95, FLAT)], reader)
    assert said(lines) == [("EXIT", 0), ("HALT", 0)]
    assert reader.asked == 0


def test_a_menu_that_lies_the_other_way_round_is_read_beside_a_sign_that_does_not() -> None:
    reader = Reader(Line("VHVWVA", 0.4), Line("Calle de la Señora", 1.0))
    lines = right_way_up([found(0, "YAMAHA", 0.98, FLAT), found(1, "Cal ora", 0.8, FLAT)], reader)
    assert said(lines) == [("YAMAHA", 0), ("Calle de la Señora", 180)]


def test_a_book_that_stands_the_other_way_than_most_keeps_its_reading() -> None:
    others = [
        Line("THE THREE MUSKETEERS", 1.0),
        Line("A WINTER'S TALE", 1.0),
        Line("PERSUASION", 1.0),
        Line("VHNV", 0.3),
    ]
    texts = [("SEE XSAM", 0.5), ("ELVL S", 0.4), ("NOISV", 0.5), ("ANNA", 0.99)]
    lines = right_way_up([found(at, text, score, TALL) for at, (text, score) in enumerate(texts)], Reader(*others))
    assert said(lines)[3] == ("ANNA", 90)
    assert said(lines)[0] == ("THE THREE MUSKETEERS", 270)


def test_a_photo_that_is_upside_down_is_read() -> None:
    lines = right_way_up([found(0, "Bahn hnich", 0.72, FLAT)], Reader(Line("Bahnhof Zürich", 1.0)))
    assert said(lines) == [("Bahnhof Zürich", 180)]


def test_what_looks_the_same_from_both_ends_is_no_reason_to_turn_it() -> None:
    """A tripod's leg is C000 one way and 0000 the other."""
    assert said(right_way_up([found(0, "C000", 0.7, FLAT)], Reader(Line("0000", 0.91)))) == [("C000", 0)]


def test_single_letters_which_textures_are_read_as_are_not_read_twice() -> None:
    reader = Reader()
    assert said(right_way_up([found(0, "p", 0.84, FLAT), found(1, "0", 0.6, TALL)], reader)) == [("p", 0), ("0", 90)]
    assert reader.asked == 0


def test_lines_come_in_the_order_in_which_they_are_read() -> None:
    first, second, third = [0.1, 0.1, 0.3, 0.05], [0.6, 0.1, 0.3, 0.05], [0.1, 0.3, 0.3, 0.05]
    upright = [first, second, third]
    down = [[1 - y - h, x, h, w] for x, y, w, h in upright]
    around = [[1 - x - w, 1 - y - h, w, h] for x, y, w, h in upright]
    up = [[y, 1 - x - w, h, w] for x, y, w, h in upright]

    assert sorted(upright, key=lambda box: reading_order(box, 0)) == upright
    assert sorted(down, key=lambda box: reading_order(box, 90)) == down
    assert sorted(around, key=lambda box: reading_order(box, 180)) == around
    assert sorted(up, key=lambda box: reading_order(box, 270)) == up
