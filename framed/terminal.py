"""Prints for people and for programs: sentences, tables that fit the terminal, JSON.

In a pipe nothing is coloured, wrapped or cut. rich is imported only where a terminal reads.
"""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_GAP = 2
_LONG = frozenset(
    "path|why|caption|problem|said|mend|needs|error|plays|fields|meaning|"
    "what it holds|what it is for|what it says|what it is".split("|")
)
"""Columns that may wrap; the others keep their width."""
_LEAST = 18
_COLOURS = {"good": "green", "note": "yellow", "wrong": "bold red", "failed": "red", "offline": "yellow"}


def show(document: Mapping[str, Any], as_json: bool, words: Callable[[], None]) -> None:
    """The document as JSON, or what `words` prints of it."""
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        words()


def say(text: str) -> None:
    print("\n".join(clean(line) for line in text.split("\n")))


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "There are none.") -> None:
    """Only the columns that hold something. Where the terminal is too narrow, each row is a paragraph."""
    cells = [[written(row.get(column)) for column in columns] for row in rows]
    used = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    if not used:
        print(empty)
        return
    heads = [columns[index].replace("_", " ") for index in used]
    body = [[row[index] for index in used] for row in cells]
    widths = [max(_cells(text) for text in column) for column in zip(heads, *body, strict=True)]
    if not sys.stdout.isatty():
        for row in (heads, *body):
            print(_line(row, widths))
        return
    room = shutil.get_terminal_size().columns
    least = [
        min(width, _LEAST) if columns[index] in _LONG else width for index, width in zip(used, widths, strict=True)
    ]
    if sum(least) + _GAP * (len(least) - 1) > room:
        _paragraphs(heads, body)
    else:
        _rich_table(heads, body, [columns[index] in _LONG for index in used])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (text + " " * (width - _cells(text) + _GAP) for text, width in zip(row, widths, strict=True))
    return "".join(padded).rstrip()


def _paragraphs(heads: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(body):
        if number:
            print()
        for head, text in zip(heads, row, strict=True):
            if text:
                print(f"{head}: {text}")


def _rich_table(heads: Sequence[str], body: Sequence[Sequence[str]], long: Sequence[bool]) -> None:
    """Cells are Text: what a photo or a frame is called is never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for head, wraps in zip(heads, long, strict=True):
        grid.add_column(head, overflow="fold", no_wrap=not wraps)
    for row in body:
        grid.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in row))
    Console(highlight=False).print(grid)


def written(value: Any) -> str:
    """One value as people read it, on one line."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(written(part) for part in value)
        case dict():
            return clean(str(value.get("message") or json.dumps(value, ensure_ascii=False)))
    return clean(str(value))


def clean(text: str) -> str:
    """Without control characters: a file's name must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _cells(text: str) -> int:
    """How many columns a terminal gives to the text."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def lasted(seconds: float) -> str:
    """34 s, 5 min, 2 h 10 min, 3 days."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"


def counted(number: int, one: str, many: str = "") -> str:
    """1 photo, 2,000 photos."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def forgive() -> None:
    """A character that the terminal's encoding lacks is written as its number instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def hush() -> None:
    """The reader has gone, as with `| head`: the interpreter must not complain when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
