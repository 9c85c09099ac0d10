"""A small library's names, and a fixed day, for the grammar's tests."""

from datetime import UTC, datetime

from framed.playlists.grammar import AskSettings, Name, QueryPlan, Vocabulary, parse

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)  # a Wednesday in summer

PEOPLE = [
    Name(id="anna", name="Anna"),
    Name(id="ben", name="Ben Miller"),
    Name(id="cara", name="Cara"),
    Name(id="dad", name="Peter", aliases=("dad",)),
    Name(id="mum", name="Susan", aliases=("mum",)),
    Name(id="gran", name="Grandma Rose", aliases=("grandma",)),
    Name(id="zoe", name="Zoë"),
    Name(id="anne-marie", name="Anne-Marie"),
    Name(id="may", name="May"),
    Name(id="april", name="April Jones"),
    Name(id="will", name="Will"),
    Name(id="mark", name="Mark"),
    Name(id="person-paris", name="Paris"),
    Name(id="tom-smith", name="Tom Smith"),
    Name(id="tom-jones", name="Tom Jones"),
    Name(id="анна", name="Анна"),
]
PLACES = [
    Name(id="italy", name="Italy"),
    Name(id="paris", name="Paris, France"),
    Name(id="rome", name="Rome"),
    Name(id="new-york", name="New York"),
    Name(id="munster", name="Münster"),
    Name(id="nice", name="Nice"),
    Name(id="reading", name="Reading"),
    Name(id="france", name="France"),
]
FOLDERS = [
    Name(id="holidays", name="Holidays"),
    Name(id="wedding", name="Anna's wedding"),
    Name(id="summer-2019", name="Summer 2019"),
    Name(id="road-trip", name="Road trip USA"),
    Name(id="dcim", name="DCIM"),
]
FRAMES = [
    Name(id="kitchen", name="Kitchen"),
    Name(id="hall", name="Hall tablet"),
    Name(id="living", name="Living room frame"),
]
TAGS = [
    "beach", "dog", "cat", "food", "sunset", "car", "child", "birthday", "flower", "snow", "rose", "kitchen", "table",
    "person", "tree", "christmas tree", "golden retriever", "cake", "party", "mountain", "sea", "red", "toy", "wedding",
    "garden", "baby", "bridge", "night sky", "boat", "bird", "portrait",
]  # fmt: skip

VOCABULARY = Vocabulary(people=PEOPLE, places=PLACES, folders=FOLDERS, frames=FRAMES, tags=TAGS)


def understood(text: str, settings: AskSettings | None = None, now: datetime = NOW) -> QueryPlan:
    return parse(text, VOCABULARY, settings or AskSettings(), now)


def slots(plan: QueryPlan) -> dict[str, list[str]]:
    """The fields that were filled, each value as a word: dates 2025-06-01..2025-08-31, yearly 12-24..12-26,
    clock 20:00..00:00."""
    ignored = {"v", "text", "spans", "problems", "labels"}
    filled = plan.model_dump(mode="json", exclude_defaults=True, exclude=ignored)
    return {
        name: [_word(one) for one in (value if isinstance(value, list) else [value])]
        for name, value in filled.items()
        if name != "read_as"
    } | ({"read_as": [f"{said} → {name}" for said, name in plan.read_as.items()]} if plan.read_as else {})


def _word(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "month_from" in value:
        days = "{month_from:02}-{day_from:02}..{month_to:02}-{day_to:02}".format(**value)
        return f"{days} {value['feast']}" if value.get("feast") else days
    return f"{value.get('start', '')}..{value.get('end', '')}".replace(":00..", "..").removesuffix(":00")
