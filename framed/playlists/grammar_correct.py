"""What a speaker takes back: "photos of Anna, no wait, of Ben", "Rome, I mean Paris", "2021, sorry, 2022"."""

from framed.playlists.date_words import number
from framed.playlists.grammar_phrases import Phrases
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.grammar_words import phrases

_SAID: Phrases[str] = Phrases()
for _words in phrases(
    """no wait, wait no, no sorry, sorry no, i mean, i meant, no i mean, no i meant, sorry i mean, sorry i meant,
    or rather, scratch that, make that, no make that, actually no, no actually, sorry, oh sorry, no wait i mean,
    i mean no"""
):
    _SAID.add(_words, "")
_KINDS: dict[Slot, str] = {
    "person": "who", "unknown_name": "who", "place": "where", "unknown_place": "where", "folder": "where",
    "date": "when", "frame": "frame", "unknown_frame": "frame", "all_frames": "frame", "count": "count",
    "kind": "kind", "word": "what", "light": "what", "orientation": "orientation", "interval": "interval",
    "colour": "colour",
}  # fmt: skip


def correction(sentence: Sentence, at: int) -> Item | None:
    """ "no wait" and its like, where something was said that they can take back."""
    size, _ = _SAID.longest(sentence.keys, at)
    if not size or not any(item.slot in _KINDS for item in sentence.items):
        return None
    end = at + size
    while sentence.keys[end] in {",", "."}:
        end += 1
    return Item("correction", at, end, text="problems") if end < len(sentence.tokens) else None


def take_back(sentence: Sentence) -> None:
    """What is said after a correction stands in the place of the last thing of its kind before it."""
    items = sentence.items
    for at, item in enumerate(items):
        frames = item.slot == "negator" and _slot(items, at - 1) == "frame" == _slot(items, at + 1)
        if item.slot != "correction" and not frames:
            continue
        _count_again(sentence, at)
        kind = next((_KINDS[after.slot] for after in items[at + 1 :] if after.slot in _KINDS), "")
        last = next((n for n in range(at - 1, -1, -1) if _KINDS.get(items[n].slot) == kind), None)
        items[at] = Item("filler", item.first, item.last, text="problems")
        if last is None:
            continue
        first = last
        while kind == "what" and first and _KINDS.get(items[first - 1].slot) == kind:
            first -= 1
        sentence.problems.append(f"“{sentence.raw(items[first].first, items[last].last)}” was taken back.")
        for n in range(first, last + 1):
            items[n] = Item("filler", items[n].first, items[n].last, text="problems")


def _count_again(sentence: Sentence, at: int) -> None:
    """The 30 of "20 photos, no make that 30"."""
    items = sentence.items
    if _slot(items, at + 1) == "word" and any(item.slot == "count" for item in items[:at]):
        said = number(sentence.keys, items[at + 1].first)
        if said is not None and said[1] == items[at + 1].last:
            items[at + 1] = Item("count", items[at + 1].first, said[1], number=said[0])


def _slot(items: list[Item], at: int) -> Slot:
    return items[at].slot if 0 <= at < len(items) else "stop"
