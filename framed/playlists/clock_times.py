"""Times of the clock in a sentence: "after 8 pm", "between 6 and 9 in the morning", "around half past three"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from framed.playlists.date_points import TO

Stretch = tuple[int, int]
"""Minutes since midnight, the second exclusive; one that runs past midnight ends before it starts."""
Half = Literal["am", "pm"]

DAY = 24 * 60
_HALF_DAY = 12 * 60
_NIGHT_ENDS = 5 * 60
_EVENING_BEGINS = 17 * 60
_AROUND = 30
_BOUNDS = {
    ("after",): "after", ("later", "than"): "after", ("past",): "after", ("since",): "after", ("from",): "from",
    ("before",): "before", ("earlier", "than"): "before", ("prior", "to"): "before", ("until",): "before",
    ("till",): "before", ("up", "to"): "before", ("by",): "before",
    ("between",): "between", ("in", "between"): "between",
    ("at", "around"): "at", ("at", "about"): "at", ("at",): "at", ("around",): "at", ("about",): "at",
    ("round", "about"): "at",
}  # fmt: skip
_FIRST = frozenset(words[0] for words in _BOUNDS)
_HOURS = {
    word: hour
    for hour, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), start=1)
}
_PARTS = frozenset({"morning", "afternoon", "evening", "night"})
_OPENING = frozenset({"half", "quarter", "twenty", "noon", "midday", "midnight", *_HOURS})
_NAMED = {"noon": 12 * 60, "midday": 12 * 60, "midnight": 0}


@dataclass(frozen=True, slots=True)
class _Time:
    """`minute` counts from noon or midnight where `half` is not known; `sure`: it is a time and no other number."""

    end: int
    minute: int
    half: Half | None = None
    sure: bool = True
    part: str = ""  # the part of the day that was said with it
    whole: bool = False  # by the clock of 24 hours


def read(keys: Sequence[str], at: int) -> tuple[int, Stretch] | None:
    """The stretch of the day that is said at a token, and the token after it."""
    key = keys[at]
    if key in _FIRST:
        return _bounded(keys, at)
    if key[:1].isdecimal() or key in _OPENING:
        return _bare(keys, at)
    return None


def without(stretches: Sequence[Stretch], refused: Stretch) -> list[Stretch]:
    """What is left of the stretches of a day once one is taken out."""

    def holds(stretch: Stretch, minute: int) -> bool:
        low, high = stretch
        return low <= minute < high if low < high else minute >= low or minute < high

    kept: list[Stretch] = []
    for minute in range(DAY):
        if holds(refused, minute) or not any(holds(one, minute) for one in stretches):
            continue
        if kept and kept[-1][1] == minute:
            kept[-1] = (kept[-1][0], minute + 1)
        else:
            kept.append((minute, minute + 1))
    if len(kept) > 1 and kept[0][0] == 0 and kept[-1][1] == DAY:  # one stretch, past midnight
        kept = [*kept[1:-1], (kept[-1][0], kept[0][1])]
    return kept


def _bounded(keys: Sequence[str], at: int) -> tuple[int, Stretch] | None:
    words = next((w for n in (2, 1) if (w := tuple(keys[at : at + n])) in _BOUNDS), None)
    if words is None:
        return None
    bound, j = _BOUNDS[words], at + len(words)
    j += keys[j] in {"the", "about", "around"}
    first = _time(keys, j)
    if first is None:
        return None
    if not first.sure and keys[at - 1] in _PARTS and at:  # this morning between six and nine
        first = _in_part(replace(first, sure=True), keys[at - 1])
    if bound in {"between", "from"}:
        joint = first.end
        if keys[joint] in TO or (bound == "between" and keys[joint] in {"and", "&"}):
            return _stretch(first, _time(keys, joint + 1))
        onwards = keys[joint] in {"on", "onward", "onwards"} and keys[joint + 1] != "the"
        return _after(first, joint + 1) if bound == "from" and onwards else None
    if not first.sure or (bound == "at" and keys[j] in _NAMED):  # at noon, around midnight: a part of the day
        return None
    if bound == "after":
        return _after(first, first.end)
    if bound == "before":
        minute = _minute(first, "am")
        return first.end, (0, minute) if minute else (_EVENING_BEGINS, DAY)
    return first.end, _around(_minute(first, None))


def _bare(keys: Sequence[str], at: int) -> tuple[int, Stretch] | None:
    """ "8 pm", "8 to 10 pm", "6-9 am": without a word before it, only where the half of the day is said."""
    first = _time(keys, at)
    if first is None:
        return None
    last = _time(keys, first.end + 1) if keys[first.end] in TO else None
    if last is not None and (first.half or last.half):
        return _stretch(first, last)
    return (first.end, _around(_minute(first, None))) if first.half and not first.part else None


def _after(first: _Time, end: int) -> tuple[int, Stretch] | None:
    if not first.sure:
        return None
    minute = _minute(first, "pm")
    return end, (minute, _NIGHT_ENDS if minute < _NIGHT_ENDS or first.part == "night" else DAY)


def _around(minute: int) -> Stretch:
    return (minute - _AROUND) % DAY, (minute + _AROUND) % DAY or DAY


def _stretch(first: _Time, last: _Time | None) -> tuple[int, Stretch] | None:
    """From one to the other. The half of the day that is said of one tells the other's: from 10 to 2 pm, from 10 pm
    to 2, between 6 and 9 in the evening."""
    if last is None or not (first.sure or last.sure):
        return None
    if last.half or last.whole:
        end = _minute(last, None)
        said = first.minute % _HALF_DAY
        near = max((minute for minute in (said, said + _HALF_DAY) if minute < end), default=said + _HALF_DAY)
        start = _minute(first, None) if first.half or first.whole else near
    else:
        start = _minute(first, "am")
        said = last.minute % _HALF_DAY
        end = next(minute for minute in (said, said + _HALF_DAY, said + DAY) if minute > start) % DAY
    return (last.end, (start, end or DAY)) if start != end else None


def _minute(time: _Time, likely: Half | None) -> int:
    """Minutes since midnight. Where nothing says which half: after eight is in the evening, before eight in the
    morning, and at three in the afternoon."""
    if time.whole:
        return time.minute % DAY
    minute = time.minute % _HALF_DAY
    half = time.half or likely or ("am" if minute >= 7 * 60 else "pm")
    return minute + (_HALF_DAY if half == "pm" else 0)


def _time(keys: Sequence[str], at: int) -> _Time | None:
    if keys[at] in _NAMED:
        return _Time(at + 1, _NAMED[keys[at]], whole=True)
    found = _to_the_hour(keys, at) or _digits(keys, at)
    if found is None and (hour := _HOURS.get(keys[at])) is not None:
        more = {"thirty": 30, "fifteen": 15, "fortyfive": 45}.get(keys[at + 1], 0)
        found = _Time(at + 1 + bool(more), hour * 60 + more, sure=False)
    return found and _with_half(keys, found)


def _to_the_hour(keys: Sequence[str], at: int) -> _Time | None:
    """ "half past seven", "a quarter to nine", "twenty past six"."""
    j = at + (keys[at] == "a")
    minutes = {"half": 30, "quarter": 15, "ten": 10, "twenty": 20, "five": 5, "10": 10, "20": 20, "5": 5}.get(keys[j])
    if minutes is None or keys[j + 1] not in {"past", "to"} or (minutes == 30 and keys[j + 1] == "to"):
        return None
    if keys[j + 1] == "to" and keys[j] not in {"quarter"}:
        return None  # "ten to six" is a stretch too
    hour = _HOURS.get(keys[j + 2]) or _hour_of(keys[j + 2])
    if hour is None:
        return None
    return _Time(j + 3, (hour * 60 + (minutes if keys[j + 1] == "past" else -minutes)) % DAY)


def _hour_of(key: str) -> int | None:
    return int(key) if key.isascii() and key.isdecimal() and len(key) <= 2 and int(key) <= 24 else None


def _digits(keys: Sequence[str], at: int) -> _Time | None:
    """8, 20:15, 8.30 pm, 8pm, 8:30pm, 20h, 20h30."""
    key = keys[at]
    bare = key.rstrip("apmh")
    hour = _hour_of(bare)
    if hour is None or not key.isascii():
        if "h" in key and (hour := _hour_of(key.partition("h")[0])) is not None and key.partition("h")[2].isdecimal():
            return _clock(at + 1, hour, key.partition("h")[2], True)
        return None
    tail = key[len(bare) :]
    if tail in {"am", "pm"}:
        return _checked(_Time(at + 1, hour * 60, "am" if tail == "am" else "pm"))
    if tail == "h":
        return _Time(at + 1, hour * 60, whole=True) if keys[at + 1] not in {"ago", "each"} else None
    if tail in {"a", "p"} and keys[at + 1] == "." and keys[at + 2] == "m":
        return _checked(_Time(at + 3 + (keys[at + 3] == "."), hour * 60, "am" if tail == "a" else "pm"))
    if tail:
        return None
    minutes = keys[at + 2]
    plain = minutes.rstrip("apm")
    if keys[at + 1] in {":", "."} and len(plain) == 2 and plain.isascii() and plain.isdecimal():
        half = minutes[2:]
        said = _half(keys, at + 3)[0] or half in {"am", "pm"}
        if keys[at + 1] == "." and not said:
            return None  # 8.30 may be a day of March
        time = _clock(at + 3, hour, plain, hour > 12 or key[0] == "0")
        return time and (_checked(replace(time, half="am" if half == "am" else "pm")) if half else time)
    return _Time(at + 1, hour * 60, sure=False, whole=hour > 12) if 1 <= hour else None


def _clock(end: int, hour: int, minutes: str, whole: bool) -> _Time | None:
    minute = int(minutes[:2])
    return _Time(end, (hour * 60 + minute) % DAY, whole=whole) if minute < 60 else None


def _checked(time: _Time) -> _Time | None:
    return time if time.minute <= 12 * 60 + 59 else None


def _with_half(keys: Sequence[str], time: _Time) -> _Time:
    """With "pm", "o'clock" and the part of the day that follow it."""
    end, half, part, sure = time.end, time.half, "", time.sure
    if keys[end] in {"oclock", "oclok"}:
        end, sure = end + 1, True
    elif keys[end] == "o" and keys[end + 1] == "clock":
        end, sure = end + 2, True
    if half is None and not time.whole:
        half, end = _half(keys, end)
        sure = sure or half is not None
    after = end
    if keys[after] == "in" and keys[after + 1] == "the" and keys[after + 2] in _PARTS:
        part, end = keys[after + 2], after + 3
    elif keys[after] == "at" and keys[after + 1] == "night":
        part, end = "night", after + 2
    elif keys[after] in {"this", "yesterday"} and keys[after + 1] in _PARTS:
        part = keys[after + 1]
    elif keys[after] in {"tonight", "tonite"}:
        part = "evening"
    return _in_part(replace(time, end=end, half=half, sure=sure or bool(part)), part)


def _in_part(time: _Time, part: str) -> _Time:
    if not part or time.half or time.whole:
        return replace(time, part=part)
    morning = part == "morning" or (part == "night" and not 6 * 60 <= time.minute < _HALF_DAY)
    return replace(time, part=part, half="am" if morning and (part == "night" or time.minute < _HALF_DAY) else "pm")


def _half(keys: Sequence[str], at: int) -> tuple[Half | None, int]:
    """The "pm" at a token, and the token after it: pm, p.m., p m."""
    if keys[at] in {"am", "pm"}:
        return ("am" if keys[at] == "am" else "pm"), at + 1
    if keys[at] in {"a", "p"}:
        half: Half = "am" if keys[at] == "a" else "pm"
        if keys[at + 1] == "m":
            return half, at + 2
        if keys[at + 1] == "." and keys[at + 2] == "m":
            return half, at + 3 + (keys[at + 3] == ".")
    return None, at
