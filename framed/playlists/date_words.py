"""The closed word lists of the date grammar: months, feasts, seasons, units, numbers."""

from collections.abc import Sequence

from framed.playlists.feasts import Feast, Season
from framed.playlists.plan import TimeOfDay

MONTHS = {
    name: index
    for index, name in enumerate(
        "january february march april may june july august september october november december".split(), start=1
    )
}
ABBREVIATED = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
WEEKDAYS = {
    name: index for index, name in enumerate("monday tuesday wednesday thursday friday saturday sunday".split())
}  # "sun", "sat" and "wed" are words of their own
SEASON_WORDS: dict[str, Season] = {
    "spring": "spring", "springs": "spring", "springtime": "spring", "summer": "summer", "summers": "summer",
    "summertime": "summer", "autumn": "autumn", "autumns": "autumn", "fall": "autumn", "winter": "winter",
    "winters": "winter", "wintertime": "winter",
}  # fmt: skip
TIMES: dict[str, tuple[TimeOfDay, ...]] = {
    "morning": ("morning",), "mornings": ("morning",), "midday": ("midday",), "noon": ("midday",),
    "lunchtime": ("midday",), "afternoon": ("afternoon",), "afternoons": ("afternoon",), "evening": ("evening",),
    "evenings": ("evening",), "night": ("night",), "nights": ("night",), "nighttime": ("night",),
    "midnight": ("night",),
}  # fmt: skip
UNITS = {
    "day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month", "year": "year",
    "years": "year", "decade": "decade", "decades": "decade", "weekend": "weekend", "weekends": "weekend",
}  # fmt: skip
THIRDS = {"early": 0, "beginning": 0, "start": 0, "mid": 1, "middle": 1, "late": 2, "end": 2}
DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
    "nineties": 90, "noughties": 2000, "aughts": 2000, "00s": 2000,
}  # fmt: skip
ORDINALS = {
    name: index
    for index, name in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split(),
        start=1,
    )
}


def _feasts(table: dict[str, tuple[int, int, int, int]]) -> dict[tuple[str, ...], tuple[int, int, int, int]]:
    return {tuple(words.split()): days for names, days in table.items() for words in names.split(", ")}


FIXED_FEASTS = _feasts(
    {
        "christmas, xmas, x mas, christmas time, christmastime, christmases": (12, 24, 12, 26),
        "christmas eve, xmas eve, christmas eves": (12, 24, 12, 24),
        "christmas day, xmas day": (12, 25, 12, 25),
        "boxing day": (12, 26, 12, 26),
        "new year 's eve, new years eve, new year eve, nye, silvester": (12, 31, 12, 31),
        "new year 's day, new years day": (1, 1, 1, 1),
        "new year, new year 's": (12, 31, 1, 1),
        "halloween, hallowe en": (10, 31, 10, 31),
        "valentine 's day, valentines day, valentine day, valentine 's, valentines": (2, 14, 2, 14),
        "st patrick 's day, saint patrick 's day, st patricks day, saint patricks day": (3, 17, 3, 17),
        "independence day, fourth of july": (7, 4, 7, 4),
        "bonfire night, guy fawkes night": (11, 5, 11, 5),
        "st nicholas day, saint nicholas day": (12, 6, 12, 6),
        "epiphany": (1, 6, 1, 6),
        "may day, labour day": (5, 1, 5, 1),
    }
)
MOVABLE_FEASTS: dict[tuple[str, ...], Feast] = {
    ("easter",): "easter",
    ("easters",): "easter",
    ("easter", "weekend"): "easter",
    ("easter", "sunday"): "easter_sunday",
    ("easter", "monday"): "easter_monday",
    ("good", "friday"): "good_friday",
    ("pentecost",): "pentecost",
    ("whitsun",): "pentecost",
    ("thanksgiving",): "thanksgiving",
    ("thanksgiving", "day"): "thanksgiving",
    ("mother", "'s", "day"): "mothers_day",
    ("mothers", "day"): "mothers_day",
    ("father", "'s", "day"): "fathers_day",
    ("fathers", "day"): "fathers_day",
}

# After these a feast, season or time of day names a thing and no date: a Christmas tree, a winter coat, the night sky.
OBJECTS = frozenset(
    """tree trees market markets lights light cookie cookies present presents card cards bauble baubles
        stocking stockings sweater sweaters jumper jumpers pudding star song songs decoration decorations wreath
        dinner egg eggs bunny bunnies basket costume costumes pumpkin pumpkins turkey coat coats dress dresses
        hat hats jacket jackets boots clothes leaves leaf foliage colours colors colour color flower flowers
        house wonderland solstice olympics camp sale sky skies club market stars gown shift coffee glory dew fog
        mist sun sunlight bell bells cake cakes roast brunch lunch train onion onions roll rolls water fever
        garden gardens""".split()
)

_SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "hundred": 100, "dozen": 12, "couple": 2, "few": 5, "several": 7,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip


def number(keys: Sequence[str], at: int) -> tuple[int, int] | None:
    """A number said at token `at`, and the token after it: 20, twenty five, a dozen, two hundred, a couple of."""
    j = at
    if keys[j] in {"a", "half"} and keys[j + 1] in {"dozen", "couple", "few", "hundred", "a"}:
        if keys[j] == "half":
            return (6, _after_of(keys, j + 3)) if tuple(keys[j + 1 : j + 3]) == ("a", "dozen") else None
        j += 1
    key = keys[j]
    if key.isascii() and key.isdecimal() and len(key) <= 6:
        value, j = int(key), j + 1
    elif key in _TENS:
        value, j = _TENS[key], j + 1
        if 1 <= _SMALL.get(keys[j], 0) <= 9:
            value, j = value + _SMALL[keys[j]], j + 1
    elif key in _SMALL:
        value, j = _SMALL[key], j + 1
    else:
        return None
    if keys[j] in {"dozen", "hundred", "thousand"} and key not in {"dozen", "hundred"}:
        value, j = value * {"dozen": 12, "hundred": 100, "thousand": 1000}[keys[j]], j + 1
    return value, _after_of(keys, j) if key in {"couple", "dozen"} else j


SPOKEN_CENTURIES = frozenset({"eighteen", "nineteen", "twenty", "two"})
_CENTURIES = {"eighteen": 1800, "nineteen": 1900, "twenty": 2000}


def year_said(keys: Sequence[str], at: int) -> tuple[int, int] | None:
    """A year in words at a token, and the token after it: nineteen ninety nine, twenty ten, two thousand five."""
    if keys[at] == "two" and keys[at + 1] == "thousand":
        j = at + 2 + (keys[at + 2] == "and")
        rest = number(keys, j)
        return (2000 + rest[0], rest[1]) if rest is not None and 0 < rest[0] < 100 else (2000, at + 2)
    century, second = _CENTURIES.get(keys[at]), keys[at + 1]
    if century is None:
        return None
    if second in {"oh", "o"} and 1 <= (unit := _SMALL.get(keys[at + 2], 0)) <= 9:
        return century + unit, at + 3
    if second == "hundred":
        return (century, at + 2) if century < 2000 else None
    if second not in _TENS and not 10 <= _SMALL.get(second, 0) <= 19:
        return None
    rest = number(keys, at + 1)
    return (century + rest[0], rest[1]) if rest is not None and rest[0] < 100 else None


def _after_of(keys: Sequence[str], at: int) -> int:
    return at + 1 if keys[at] == "of" else at
