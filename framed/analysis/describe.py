"""One sentence about a photo, the words it is found by, and its meaning for the text embedding.

Assembled from what is known, without a language model: it says nothing that is not in the facts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from framed.analysis import captions, ram_words, tag_words

Hemisphere = Literal["north", "south"]


class PlaceName(BaseModel):
    name: str | None = None
    county: str | None = None
    region: str | None = None
    country: str | None = None


class DescriptionFacts(BaseModel):
    people: list[str] = Field(default_factory=list)
    tags: list[tuple[str, float]] = Field(default_factory=list)
    """Everyday words and how sure they are, 0 to 1."""
    also_tags: list[str] = Field(default_factory=list)
    """Words that it may be found by, not sure enough to be said."""
    traits: list[str] = Field(default_factory=list)
    """Scene, style, mood, composition, subject and palette, in words."""
    kind: str = "photo"
    places: list[PlaceName] = Field(default_factory=list)
    """The first is where it was taken, the others are near."""
    taken_local: datetime | None = None
    taken_precision: Literal["second", "day", "month", "year"] | None = None
    title: str | None = None
    caption: str | None = None
    """What somebody wrote into the file."""
    keywords: list[str] = Field(default_factory=list)
    colours: list[str] = Field(default_factory=list)
    orientation: str | None = None
    folder: str = ""
    file_name: str = ""
    camera: str | None = None
    quality: list[str] = Field(default_factory=list)
    hemisphere: Hemisphere = "north"
    text: str | None = None
    """What is written in the picture."""
    seen: str | None = None
    """What a model said of the picture."""


class Description(BaseModel):
    caption: str
    search_text: str
    meaning: str
    """What is in it, without names, dates and places, which requests are matched on exactly."""


def describe(facts: DescriptionFacts) -> Description:
    return Description(caption=_caption(facts), search_text=_search_text(facts), meaning=_meaning(facts))


# --- the sentence ---------------------------------------------------------------------------------------------------

_SURE = 0.45
_SURE_OF_ONE_CLASS = 0.6
"""A wrong breed is noticed; "a dog" is right more often and says nearly as much."""
_MOST_THINGS = 2

# How a sentence says that something else is there. What is not here is a thing, not a scene.
_SCENES = {
    "altar": "at an altar",
    "barn": "by a barn",
    "bathroom": "in a bathroom",
    "beach": "on a beach",
    "bedroom": "in a bedroom",
    "bridge": "by a bridge",
    "building": "by a building",
    "camping": "while camping",
    "castle": "at a castle",
    "church": "at a church",
    "cinema": "at a cinema",
    "cliff": "by a cliff",
    "coast": "on the coast",
    "coral reef": "at a coral reef",
    "dam": "at a dam",
    "dining room": "in a dining room",
    "dock": "at a dock",
    "fair": "at a fair",
    "farm": "on a farm",
    "field": "in a field",
    "fountain": "by a fountain",
    "garden": "in a garden",
    "geyser": "by a geyser",
    "greenhouse": "in a greenhouse",
    "harbour": "in a harbour",
    "house": "by a house",
    "hot tub": "in a hot tub",
    "kitchen": "in a kitchen",
    "lake": "by a lake",
    "landscape": "outdoors",
    "library": "in a library",
    "lighthouse": "by a lighthouse",
    "living room": "in a living room",
    "market": "at a market",
    "maze": "in a maze",
    "monument": "at a monument",
    "mosque": "at a mosque",
    "mountain": "in the mountains",
    "observatory": "at an observatory",
    "palace": "at a palace",
    "park": "in a park",
    "pier": "on a pier",
    "planetarium": "at a planetarium",
    "playground": "in a playground",
    "restaurant": "in a restaurant",
    "sea": "by the sea",
    "shop": "in a shop",
    "snow": "in the snow",
    "stage": "on a stage",
    "street": "in a street",
    "temple": "at a temple",
    "terrace": "on a terrace",
    "theatre": "in a theatre",
    "tower": "by a tower",
    "underwater": "under water",
    "valley": "in a valley",
    "volcano": "by a volcano",
    "water": "by the water",
    "wedding": "at a wedding",
}
# A scene that is alone in the picture, where "a" and the word would not do.
_SCENE_ALONE = {
    "camping": "Camping",
    "coast": "The coast",
    "mountain": "Mountains",
    "sea": "The sea",
    "snow": "Snow",
    "underwater": "Under water",
    "water": "A scene with water",
}
# Words that help to find a photo and would sound odd in its caption.
_UNSAID = frozenset(
    {
        *("american football", "baby", "cleaning", "clothes", "construction", "cooking", "costume", "electronics"),
        *("farm animal", "fishing", "fitness", "game", "golf", "graduation", "gymnastics", "handicraft", "ice hockey"),
        *("jewellery", "laundry", "light", "make-up", "military", "money", "music", "nature", "paint", "paper", "pet"),
        *("police", "post", "reef", "rock", "school", "sea animal", "sewing", "shopping", "space", "sport", "swimming"),
        *("text", "uniform", "weapon", "wild animal"),
    }
)
_WORN = frozenset(
    {
        *("abaya", "apron", "bikini", "bow tie", "cardigan", "cloak", "coat", "cowboy hat", "dress", "fur coat", "hat"),
        *(
            "helmet",
            "kimono",
            "lab coat",
            "mask",
            "military uniform",
            "necklace",
            "poncho",
            "pyjamas",
            "sarong",
            "scarf",
        ),
        *(
            "shirt",
            "skirt",
            "sombrero",
            "suit",
            "sunglasses",
            "sweater",
            "sweatshirt",
            "swimsuit",
            "swimwear",
            "t-shirt",
        ),
        *("tie", "vestment", "glasses", "jeans", "trousers", "graduation cap", "football helmet", "bonnet"),
    }
)
# Without "a": what is not counted, and what is already more than one.
_WITHOUT_ARTICLE = frozenset(
    {
        *(
            "armour",
            "baking",
            "beer",
            "billiards",
            "binoculars",
            "boots",
            "bread",
            "broccoli",
            "champagne",
            "chocolate",
        ),
        *("clogs", "clothes", "coffee", "coral", "corn", "crutches", "dough", "food", "fruit", "glasses", "guacamole"),
        *("hay", "ice cream", "jeans", "knitting", "maize", "mashed potatoes", "meat", "pasta", "pottery", "pyjamas"),
        *(
            "rapeseed",
            "red wine",
            "seafood",
            "skiing",
            "snow",
            "soup",
            "standing stones",
            "stew",
            "sun cream",
            "sunglasses",
        ),
        *(
            "sweets",
            "swimming",
            "swimming trunks",
            "swimwear",
            "tea",
            "tennis",
            "trousers",
            "wine",
            "wool",
            "gymnastics",
        ),
        *(
            "baseball",
            "basketball",
            "boxing",
            "football",
            "rugby",
            "table tennis",
            "volleyball",
            "snorkelling",
            "diving",
        ),
        *("christmas", "halloween"),
    }
)
_KINDS = {"photo": "photo", "screenshot": "screenshot", "document": "document", "drawing": "drawing"}


def _caption(facts: DescriptionFacts) -> str:
    place, time = _place(facts), _time(facts)
    own = written(facts)
    if own:
        return _sentence(_written_sentence(own, facts, place, time))
    if facts.seen:
        year = str(facts.taken_local.year) if facts.taken_local else None
        return _sentence(captions.told(facts.seen, people=_people(facts), place=place, time=time, year=year))
    what, has_scene = _what(facts)
    if what is None:
        return _sentence(_little_known(facts, place))
    if place:
        what += f" in {place}"
    if time:
        what += f"{',' if has_scene or place else ''} {time}"
    return _sentence(what)


def _written_sentence(written: str, facts: DescriptionFacts, place: str | None, time: str | None) -> str:
    """What somebody wrote, and after it what they did not mention; nothing after words that were cut."""
    if written.endswith("…"):
        return written
    said = written.lower()
    if place and place.split(",")[0].lower() not in said:
        written += f" in {place}"
    missing = [name for name in _people(facts) if name.split()[0].lower() not in said]
    if missing:
        written += f", with {_listed(missing)}"
    if time and facts.taken_local and str(facts.taken_local.year) not in said:
        written += f", {time}"
    return written


def _little_known(facts: DescriptionFacts, place: str | None) -> str:
    noun = "panorama" if facts.orientation == "panorama" and facts.kind == "photo" else _KINDS.get(facts.kind, "photo")
    what, when = f"{_article(noun)} {noun}", _month(facts)
    if place and when:
        return f"{what} from {place}, taken in {when}"
    return f"{what} from {place or when}" if place or when else what


def _what(facts: DescriptionFacts) -> tuple[str | None, bool]:
    """What the picture shows and whether that names a scene; None where nothing is known."""
    if facts.kind in ("screenshot", "document"):
        return (f"a {facts.kind} with {_listed(_people(facts))}" if _people(facts) else None), False
    things, scene = _things_and_scene(facts)
    if _people(facts):
        return _people_with(_people(facts), things, scene), scene is not None
    if facts.kind == "drawing" and (things or scene):
        return f"a drawing of {_listed([_counted(thing) for thing in things] or [_counted(scene or '')])}", False
    if things:
        return _things_in(things, scene), scene is not None
    if scene:
        return _SCENE_ALONE.get(scene, _counted(scene)), False
    return None, False


def _things_in(things: list[str], scene: str | None) -> str:
    return _listed([_counted(thing) for thing in things]) + (f" {_SCENES[scene]}" if scene else "")


def _people_with(people: list[str], things: list[str], scene: str | None) -> str:
    worn = [_counted(thing) for thing in things if thing in _WORN]
    others = [_counted(thing) for thing in things if thing not in _WORN]
    said = _listed(people)
    if worn and len(people) == 1:
        said += f" wearing {_listed(worn)}"
    if others:
        said += f"{' and' if worn and len(people) == 1 else ''} with {_listed(others)}"
    return said + (f" {_SCENES[scene]}" if scene else "")


def _things_and_scene(facts: DescriptionFacts) -> tuple[list[str], str | None]:
    """At most two things, the surest first, and the scene they are in."""
    sure = {
        name: score
        for name, score in facts.tags
        if score >= (_SURE_OF_ONE_CLASS if tag_words.level(name) == 0 and tag_words.wider(name) else _SURE)
        and name not in _UNSAID
        and (name in tag_words.TAG_VOCABULARY or name in ram_words.PEOPLE)
    }
    implied = {other for name in sure for other in tag_words.wider(name)}
    kept = sorted((name for name in sure if name not in implied), key=lambda name: -sure[name])
    scenes = [name for name in kept if name in _SCENES]
    things = [name for name in kept if name not in _SCENES]
    # "Beach" and "lighthouse" are both scenes; the second is a thing in the first.
    scene = scenes[0] if scenes else None
    if scene is None:
        scene = next((name for name in sorted(implied & sure.keys() & _SCENES.keys()) if not things), None)
    things += [name for name in scenes[1:] if name not in _SCENE_ALONE]
    if not facts.people and not things and len(scenes) > 1:
        return [], scene
    return things[:_MOST_THINGS], scene


def _people(facts: DescriptionFacts) -> list[str]:
    names = list(dict.fromkeys(_clean(name) for name in facts.people if _clean(name)))
    if len(names) <= 4:
        return names
    return [*names[:3], f"{len(names) - 3} others"]


_CAMERA_TITLES = re.compile(
    r"^(olympus digital camera|sony dsc|dsc|dcim|samsung( camera pictures)?|kodak.*|digital camera|untitled|exif_.*|"
    r"minolta digital camera|konica minolta.*|default|image|picture|photo|screenshot|camera|[\W\d_]*|"
    r"(img|dsc|dscn|dscf|pxl|imag|p|mvimg|vid)[\W_]*\d+.*)$",
    re.I,
)


def known(facts: DescriptionFacts) -> tuple[list[str], str | None, str | None]:
    """Who is in it, where and when it was taken, in the words of a caption."""
    return _people(facts), _place(facts), _time(facts)


_LINE = 120
_NO_PROSE = re.compile(r"^[{<]|[!-~]{41}")
"""Settings of a program, markup, addresses, keys: what some cameras and apps write where a caption belongs."""


def written(facts: DescriptionFacts) -> str | None:
    """The caption or title that a person gave the photo, where it reads as one; the one that fits a line, else the
    caption's first sentences or words."""
    cleaned = [_clean(text or "").rstrip(" .!;,") for text in (facts.caption, facts.title)]
    said = [text for text in cleaned if len(text) >= 3 and text != facts.file_name and not _said_by_a_program(text)]
    fitting = [text for text in said if len(text) <= _LINE]
    return next(iter([*fitting, *(captions.shortened(text, _LINE).rstrip(" .") for text in said)]), None)


def _said_by_a_program(text: str) -> bool:
    return bool(_CAMERA_TITLES.match(text) or _NO_PROSE.search(text))


def _place(facts: DescriptionFacts) -> str | None:
    if not facts.places:
        return None
    place = facts.places[0]
    parts = [place.name or place.county or place.region, place.country]
    named = list(dict.fromkeys(_clean(part) for part in parts if part))
    return ", ".join(named) or None


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _counted(word: str) -> str:
    return word if word in _WITHOUT_ARTICLE else f"{_article(word)} {word}"


def _article(word: str) -> str:
    if word.startswith(("uni", "ute", "eu", "one")):
        return "a"
    return "an" if word.startswith(("a", "e", "i", "o", "u", "hour")) else "a"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _clean(text: str) -> str:
    """On one line, without control characters."""
    return " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())


# --- time -----------------------------------------------------------------------------------------------------------

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SEASONS = ("winter", "spring", "summer", "autumn")


def _precision(facts: DescriptionFacts) -> str:
    taken = facts.taken_local
    if taken and (taken.hour, taken.minute, taken.second) == (0, 0, 0) and facts.taken_precision in (None, "second"):
        return "day"  # midnight to the second is how programs write a date without a time
    return facts.taken_precision or "second"


def _time(facts: DescriptionFacts) -> str | None:
    """``on a summer evening in 2019``, ``at Christmas 2019``, ``in May 2019``, as exact as is known."""
    taken = facts.taken_local
    if taken is None:
        return None
    precision = _precision(facts)
    if precision in ("year", "month"):
        return f"in {_month(facts)}"
    feast = _feast(taken)
    if feast:
        return f"{feast} {taken.year}"
    if precision == "day":
        return f"in {_month(facts)}"
    season = _season(taken, facts.hemisphere)
    return f"on {_article(season)} {season} {_part_of_day(taken)} in {taken.year}"


def _month(facts: DescriptionFacts) -> str | None:
    if facts.taken_local is None:
        return None
    year = str(facts.taken_local.year)
    return year if _precision(facts) == "year" else f"{_MONTHS[facts.taken_local.month - 1]} {year}"


def _feast(taken: datetime) -> str | None:
    if taken.month == 12 and taken.day in (24, 25, 26):
        return "at Christmas"
    if (taken.month, taken.day) == (12, 31):
        return "on New Year's Eve"
    if (taken.month, taken.day) == (1, 1):
        return "on New Year's Day"
    return None


def _season(taken: datetime, hemisphere: Hemisphere) -> str:
    return _SEASONS[(taken.month % 12 // 3 + (2 if hemisphere == "south" else 0)) % 4]


def _part_of_day(taken: datetime) -> str:
    if 5 <= taken.hour < 12:
        return "morning"
    if 12 <= taken.hour < 17:
        return "afternoon"
    return "evening" if 17 <= taken.hour < 22 else "night"


# --- words to be found by -------------------------------------------------------------------------------------------

_MOST_TEXT = 4000
_KIND_WORDS = {"screenshot": "screenshot screen shot", "document": "document page paper", "drawing": "drawing picture"}
_NO_NAMES = frozenset(
    "dcim camera photos photo pictures picture images image img dsc dscn dscf pxl mvimg vid jpg jpeg png heic heif "
    "webp tif tiff raw dng cr2 cr3 nef arw gif bmp avif my new folder whatsapp wa sent received download downloads "
    "cache 100apple 101apple apple android media data home users user iphone phone backup library original originals "
    "edited copy untitled tmp temp export exports all misc the and of in at on a de la le die der das und".split()
)


def _search_text(facts: DescriptionFacts) -> str:
    parts: list[str] = [*facts.people]
    for name in (*(name for name, _ in facts.tags), *facts.also_tags):
        parts += [name, *tag_words.synonyms(name), *tag_words.wider(name)]
    parts += [*facts.keywords, facts.title or "", facts.caption or "", facts.seen or ""]
    for place in facts.places:
        parts += [part for part in (place.name, place.county, place.region, place.country) if part]
    parts += [*_words_of_path(facts.folder, years=True), *_words_of_path(facts.file_name), facts.camera or ""]
    parts += [*_time_words(facts), _KIND_WORDS.get(facts.kind, facts.kind), facts.orientation or ""]
    parts += [*facts.colours, *facts.traits, *facts.quality, (facts.text or "")[:_MOST_TEXT]]
    return " ".join(_once(_clean(part) for part in parts))


def _time_words(facts: DescriptionFacts) -> list[str]:
    taken = facts.taken_local
    if taken is None:
        return []
    words = [str(taken.year), f"{taken.year // 10 * 10}s"]
    precision = _precision(facts)
    if precision == "year":
        return words
    words.append(_MONTHS[taken.month - 1])
    season = _season(taken, facts.hemisphere)
    words += [season, "fall"] if season == "autumn" else [season]
    if precision == "month":
        return words
    words += [_DAYS[taken.weekday()], "weekend" if taken.weekday() >= 5 else "weekday"]
    feast = _feast(taken)
    if feast:
        words.append(feast.split(" ", 1)[1])
    if precision == "second":
        words.append(_part_of_day(taken))
    return words


def _words_of_path(path: str, *, years: bool = False) -> list[str]:
    """``2019 Summer/SyltTrip`` → 2019, Summer, Sylt, Trip. The numbers of file names are counters, not years."""
    found = []
    for whole in re.split(r"[\W_]+", path):
        if whole.lower() in _NO_NAMES:
            continue
        for word in re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])", " ", whole).split():
            year = years and re.fullmatch(r"(18|19|20)\d\d", word) is not None
            if year or (word.isalpha() and len(word) > 1 and word.lower() not in _NO_NAMES):
                found.append(word)
    return found


def _once(parts: Iterable[str]) -> list[str]:
    """Each part once, whatever its case: a word that many sources repeat would look more important than it is."""
    seen: set[str] = set()
    kept = []
    for part in parts:
        if part and part.lower() not in seen:
            seen.add(part.lower())
            kept.append(part)
    return kept


# --- meaning --------------------------------------------------------------------------------------------------------

_NUMBERS = ("", "a person", "two people", "three people", "four people", "a group of people")


def _meaning(facts: DescriptionFacts) -> str:
    """A short phrase: MiniLM compares sentences by all their words, so each that does not count makes it vaguer."""
    things, scene = _things_and_scene(facts)
    people = len(_once(_clean(name) for name in facts.people))
    subject = _people_with([_NUMBERS[min(people, 5)]], things, scene) if people else ""
    if not subject and things:
        subject = _things_in(things, scene)
    if not subject and scene:
        subject = _SCENE_ALONE.get(scene, _counted(scene)).lower()
    if facts.seen:
        subject = captions.unnamed(facts.seen, facts.people)
    if facts.kind != "photo":
        noun = _KINDS.get(facts.kind, "photo")
        subject = f"{_article(noun)} {noun} of {subject}" if subject else f"{_article(noun)} {noun}"
    if subject and _night(facts):
        subject += " at night"
    folder = " ".join(_words_of_path(facts.folder.rsplit("/", 1)[-1]))
    parts = [subject, written(facts) or "", *(_clean(word) for word in facts.keywords[:8]), folder]
    # The narrow ones: that it is an animal is in "dog" for MiniLM as for us.
    unsaid = [name for name, _ in facts.tags if not re.search(rf"\b{re.escape(name)}\b", subject)]
    parts += sorted(unsaid, key=tag_words.level)[:5]
    if facts.text:
        parts.append(f'the words "{" ".join(_clean(facts.text).split()[:12])}"')
    if not any(parts):
        parts = ["a photo" + (f", mostly {_listed(facts.colours[:2])}" if facts.colours else "")]
    return ", ".join(_once(parts))


def _night(facts: DescriptionFacts) -> bool:
    return (
        facts.taken_local is not None and _precision(facts) == "second" and _part_of_day(facts.taken_local) == "night"
    )
