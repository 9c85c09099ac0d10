"""Sentences that steer a frame instead of asking for photos: "turn off the hall frame", "make it brighter", "show this
photo on the hall frame too"; and those that no part of framed can follow, so that they change nothing."""

from framed.playlists.date_words import number
from framed.playlists.grammar_phrases import Phrases
from framed.playlists.grammar_sentence import Item, Sentence
from framed.playlists.grammar_words import ASSISTANTS, FRAME_PHRASES, GREETINGS, PHOTO_WORDS, phrases
from framed.playlists.plan import Steer

_LONGEST = 18
_POLITE = frozenset(
    """please pls now just also then too well again thanks thank cheers can could would will you i we want wanna let
    lets me us for need would like id the a an my our right bit little quite so immediately and kindly dear""".split()
) | (GREETINGS | ASSISTANTS)
_LEADS = frozenset("on in of to at onto for into".split())
_DETERMINERS = frozenset({"the", "my", "our", "this", "that", "your"})
_LISTS = frozenset({"playlist", "playlists", "list", "lists", "slideshow", "slideshows", "slide-show", "mix"})
WISHES: Phrases[Steer] = Phrases()


def _whole(value: Steer, listed: str) -> None:
    """Phrases without politeness, articles and frames, in which "it" is the shown picture or the frame."""
    for words in phrases(listed):
        WISHES.add(words, value)


_whole(
    "on",
    """turn on, turn it on, turn back on, turn it back on, turn on back, switch on, switch it on, switch back on,
    switch it back on, wake up, wake it up, wake up it, wake, wake it, power on, power it on, power up, light up,
    put on, put back on""",
)
_whole(
    "off",
    """turn off, turn it off, switch off, switch it off, shut off, shut it off, shut down, shut it down, power off,
    power it off, power down, sleep, go to sleep, put to sleep, put it to sleep, go dark, go black, blank, turn out,
    turn it out, turn black, make it black, off, kill""",
)
_whole(
    "brighter",
    """brighter, make it brighter, make brighter, more brightness, brightness up, turn brightness up, turn up
    brightness, turn up brightness of it, brighten, brighten it, brighten up, brighten it up, it is too dark, its
    too dark, too dark, is too dark, increase brightness, raise brightness, more light, make it lighter, lighter,
    turn it up, set brighter, set it brighter, put brightness up, up brightness""",
)
_whole(
    "dimmer",
    """dimmer, darker, make it darker, make it dimmer, make darker, make dimmer, dim, dim it, dim it down, dim down,
    less brightness, brightness down, turn brightness down, turn down brightness, it is too bright, its too bright,
    too bright, is too bright, decrease brightness, reduce brightness, lower brightness, less bright, make it less
    bright, turn it down, set darker, set it darker, put brightness down, less light""",
)
_whole(
    "faster",
    """faster, go faster, change faster, make it faster, speed up, speed it up, quicker, change quicker, change more
    often, more often, show them faster, change them faster, change it faster, change it more often, it is too slow,
    too slow, its too slow""",
)
_whole(
    "slower",
    """slower, go slower, change slower, make it slower, slow down, slow it down, more slowly, change more slowly,
    change less often, less often, show them longer, show it longer, show each longer, longer, show them slower,
    change them slower, change it slower, change it less often, it is too fast, too fast, its too fast, not fast,
    show photos longer, keep each photo longer, keep photos longer, keep them longer, leave them up longer""",
)
_whole(
    "undo",
    """undo, undo it, undo that, undo last one, take it back, take that back, that was mistake, it was mistake, it was
    wrong, bring it back, put it back, unhide it, revert, i did not mean it, didnt mean it, did not mean it, oops""",
)
_whole("refresh", "refresh, refresh it, reload, reload it, redraw, redraw it, update it, refresh picture")
_whole(
    "identify",
    """identify, identify it, identify yourself, which frame is it, what frame is it, which screen is it, which tablet
    is it, what is called, whats called, what is frame called, whats frame called, what is it frame called, show
    your name, show its name, show name""",
)
_whole(
    "show_here",
    """show it, put it, put up it, send it, move it, copy it, display it, cast it, show it up, have it, it, throw it,
    put it up, show same photo, show same picture, same photo, same picture, put same photo, put same picture, do it""",
)
_whole(
    "list_here",
    """show same, same, same there, do same, play same, same one, same ones, put same, show same photos, same photos,
    same pictures, show same pictures, show same ones, show them, put them, send them, copy them, move them, cast
    them, play them, them, show same thing, same thing, play same thing, same playlist, play same playlist, show
    same playlist, same list, show same list, play same list, same slideshow, show same slideshow, play it, put same
    photos, put same pictures, show same stuff, play it list, show it list, show it playlist, play it playlist, put
    it playlist, put it list, move it playlist, send it playlist, show it slideshow, play it slideshow, put it
    slideshow""",
)
_whole(
    "last_list",
    """last playlist, go back to last playlist, play last playlist, go to last playlist, back to last playlist, show
    last playlist, previous playlist, go back to previous playlist, play previous playlist, back to previous
    playlist, show previous playlist, last list, go back to last list, play last list, previous list, go back to
    previous list, show previous list, play previous list, show last list, back to last list, back to previous list,
    last slideshow, previous slideshow, go back to last slideshow, go back to previous slideshow, play last
    slideshow, bring back last playlist, bring back previous playlist, bring back last list, bring back previous
    list, resume last playlist, resume previous playlist, what was there before, go back to what was there before,
    go back to what was on before, go back to what had before, go back to what showed before, go back to what were
    showing before, back to what was before, show what was there before, show what was on before, show what had
    before, back to what had before, go back to before, bring back what was there before, go back to photos before,
    go back to photos from before, go back to earlier photos, go back to previous photos, back to previous photos,
    back to earlier photos, bring back previous photos, bring back earlier photos, bring back earlier pictures, go
    back to earlier pictures, go back to previous pictures, back to previous pictures, bring back previous pictures,
    go back to one before that, play one before, change back, switch back, change it back, switch it back, put it
    back how it was, put back what was there, put back what was there before, put back what was on before, go back
    to old photos, go back to last photos, go back to last pictures, show what were showing before, show what showed
    before, go back to list before, go back to playlist before, playlist before, list before""",
)
_whole(
    "usual",
    """go back to normal, back to normal, normal, go back to usual, back to usual, usual photos, show usual photos,
    show usual pictures, show usual, usual, default, show default, go back to default, back to default, play
    default, default playlist, play default playlist, go back to default playlist, go back to usual photos, go back
    to normal photos, back to usual photos, back to normal photos, reset, reset it, put everything back to normal,
    put it back to normal, make it normal again, show normal photos, show default photos, go back to usual pictures,
    go back to normal pictures""",
)
_whole(
    "restart",
    """start over, start it over, start from beginning, start again from beginning, start from start, from beginning,
    from start, go back to beginning, go back to start, go to beginning, go to start, back to start, back to
    beginning, start it from beginning, restart, restart it, play it from beginning, go to first one, back to first
    one, go back to first one, first one""",
)
_whole(
    "help",
    """help, what do, what can do, what can say, what can ask, what do know, how does it work, how does work, what else
    can do, what are able to do, what are commands, what commands are there""",
)
_whole(
    "whole",
    """show whole picture, show whole photo, show whole thing, show whole image, whole picture, whole photo, show
    entire picture, show entire photo, show full picture, show full photo, do not crop, dont crop, dont crop it,
    dont cut off heads, do not cut off heads, dont cut heads off, fit picture, fit photo, fit it, dont cut it off,
    stop cropping, no cropping, dont crop photos, dont crop pictures, show whole pictures, show whole photos, show
    it whole, fit whole picture""",
)
_whole(
    "fill",
    """fill, fill it, fill whole, fill up, make it fill, full, make it full, no bars, no black bars, remove black bars,
    remove bars, crop it, crop to fit, make it bigger, zoom to fill""",
)
_whole(
    "playing",
    """what are showing, what is showing, what is playing, whats playing, what is on, whats on, what playlist is it,
    which playlist is it, what list is it, which list is it, what is shown, what is it showing, whats showing, what
    is it playing, what does show, what is running, which playlist is playing, what playlist is playing, what do
    show, what are playing, which playlist is on, what playlist is on""",
)
_whole(
    "playlists",
    """what playlists are there, which playlists are there, what playlists do have, which playlists do have, what
    playlists have, list playlists, show playlists, playlists, what lists are there, which lists are there, what
    lists do have, which lists do have, tell playlists, what playlists do know, which playlists do know, read out
    playlists, what are playlists, show all playlists, list all playlists""",
)
_whole(
    "frames",
    """what frames are there, which frames are there, what frames do have, which frames do have, list frames, which
    frames do know, what frames do know, what screens are there, which screens are there, what screens do have, how
    many frames are there, how many frames do have, what frames have, which frames have, list all frames, what are
    frames called, what are names of frames, which screens do have, which screens do know, what tablets are there""",
)
_whole(
    "leave",
    """never mind, nevermind, cancel, cancel it, cancel that, forget it, forget that, forget about it, stop listening,
    nothing, nothing thanks, no never mind, leave it, leave it as it is, leave it alone, leave it be, leave it like
    it, do nothing, it is fine, its fine, wrong button, was not talking to, wasnt talking to, not, no, no thank, no
    thanks, false alarm, sorry, hmm, hm, yes, yeah, yep, exit, close, quit, goodbye, bye, done, it is all, thats
    all""",
)
_whole(
    "delete",
    """delete, delete it, delete them, erase it, erase them, trash it, bin it, delete it forever, delete it for good,
    delete it from library, delete it from phone, delete it completely, throw it away, get rid of it, delete photo,
    delete picture, delete all photos, delete all, delete everything, delete them all, remove it from library""",
)
_whole(
    "delete_list",
    """delete it playlist, delete playlist, delete list, delete it list, remove playlist, remove list, remove it
    playlist, remove it list, delete all playlists, delete last playlist, erase playlist, delete slideshow, delete
    it slideshow""",
)
_whole(
    "edit",
    """rotate it, rotate, picture is upside down, photo is upside down, picture is sideways, photo is sideways, turn
    it, turn it around, turn it round, turn it upside down, flip it, it is upside down, its upside down, it is
    sideways, its sideways, rotate photo, rotate picture, rotate it left, rotate it right, rotate left, rotate
    right, zoom in, zoom, zoom out, zoom in on it, zoom into it, enlarge it, crop photo, make it black and white,
    make it sepia, edit it, fix red eyes, remove red eyes, straighten it, turn it to left, turn it to right, turn it
    sideways, rotate it by 90 degrees, rotate 90 degrees, turn it 90 degrees, rotate it 90 degrees""",
)
_whole(
    "send",
    """send it to phone, send it to grandma, email it, mail it, share it, share it on facebook, share it on instagram,
    share it with family, post it, post it on facebook, post it on instagram, print it, print it out, print them,
    print photo, print picture, upload it, download it, text it, text it to phone, send it by email, send it by
    mail, send it by whatsapp, whatsapp it, share photo, share picture, save it to phone, send it to whatsapp, order
    print, order print of it, order prints, email it to phone""",
)
_whole(
    "other",
    """what time is it, whats time, what is time, whats weather, what is weather, whats weather like, what is weather
    like, how is weather, hows weather, how are, who are, what is your name, whats your name, tell joke, play music,
    play some music, play song, play radio, volume up, volume down, turn volume up, turn volume down, louder,
    quieter, mute, turn up volume, turn down volume, set timer, set alarm, set reminder, whats news, what is news,
    open door, lock door, order pizza, call mum, call mom, call dad, what day is it, what day is today, whats date,
    what is date, good morning, good night, good evening, how old are, sing song""",
)
TRIGGERS = frozenset(
    """turn switch wake power shut sleep dark black blank kill off brighter brightness brighten bright lighter light
    dim dimmer darker faster quicker speed slow slower slowly longer often fast undo back mistake wrong revert
    oops unhide mean refresh reload redraw update identify called name which what whats this that it same them
    these those previous last before usual normal default reset over whole entire full crop cropping cut fit fill
    bars playlist playlists list lists slideshow mind nevermind cancel forget leave nothing fine button alarm
    sorry delete erase trash bin away rid remove rotate flip upside zoom enlarge edit straighten email mail share
    post print upload download text whatsapp order weather how who joke music song radio volume louder quieter
    mute timer reminder news door call good sing quiet beginning start restart first help commands hmm hm yes yeah
    yep exit close quit goodbye bye done here frames screens bigger not no thank thanks add save rename store put
    thats fix listening sideways wasnt""".split()
)
_ABOUT_BRIGHTNESS = frozenset(
    "set brightness bright to percent at make it as put turn change dim up down possible is of".split()
)
_LEVELS = {
    "full": 100, "maximum": 100, "max": 100, "highest": 100, "half": 50, "medium": 50, "minimum": 5, "min": 5,
    "lowest": 5,
}  # fmt: skip
_LATER = frozenset(
    """at in for until till every each tomorrow tonight later when after before between from daily night nights evening
    evenings morning mornings minutes minute hours hour""".split()
)
_OUTSIDE = frozenset({"turn", "switch"})
_TOO = frozenset({"bright", "dark", "slow", "fast"})
_MAKING = frozenset({"call", "save", "make", "create"})
_BEFORE_NAMES = frozenset("play show start the my our load open run to put me us resume".split())
_SWITCHING = frozenset({"turn", "switch", "power"})


def steer(sentence: Sentence) -> list[Item] | None:
    """The items of a sentence that is nothing but such a wish; None for all others."""
    size = len(sentence.tokens)
    if not 0 < size <= _LONGEST or TRIGGERS.isdisjoint(sentence.keys):
        return None
    said, frames = _plainly(sentence)
    if _about_it(said):
        return [Item("follow_up", 0, size, text="about"), *frames]
    wish = _wish(sentence, said, [*frames])
    if wish is None:
        return None
    elsewhere = any(item.slot != "filler" for item in frames)
    if wish[0] in ("show_here", "list_here") and not (elsewhere or said[0] in {"show", "display"} or "same" in said):
        return None
    return [_item(sentence, *wish), *frames]


def _item(sentence: Sentence, wish: Steer, to: str = "") -> Item:
    return Item("steer", 0, len(sentence.tokens), ids=(to,) if to else (), text=wish)


def _wish(sentence: Sentence, said: list[str], frames: list[Item]) -> tuple[Steer, str] | tuple[Steer] | None:
    found = WISHES.values(tuple(said))
    if found:
        alone = found[0] in ("brighter", "dimmer", "faster", "slower", "full", "fill") and len(said) == 1
        return None if alone and said[0] in {"light", "full"} and not frames else (found[0],)
    return (
        _brightness(said)
        or _kept_as(sentence, said)
        or _added(sentence, said)
        or _later(said, frames)
        or _outside(said)
    )


def _plainly(sentence: Sentence) -> tuple[list[str], list[Item]]:
    """The words that count, with "this photo" as "it" and "these photos" as "them", and the frames that are named."""
    said: list[str] = []
    frames: list[Item] = []
    at = 0
    while at < len(sentence.tokens):
        token, key, after = sentence.token(at), sentence.keys[at], sentence.keys[at + 1]
        switching = key == "on" and not _SWITCHING.isdisjoint(said)  # "turn on the hall frame"
        named = None if switching else _frame(sentence, at)
        if named is not None:
            frames.append(named)
            at = named.last
            continue
        pictured = after in PHOTO_WORDS and after not in _LISTS
        if key in {"this", "that"}:
            said.append("it")
            at += pictured or after == "one"
        elif key in {"these", "those"}:
            said.append("them")
            at += pictured
        elif key == "'s":
            said.append("is")
        elif token.kind != "mark" and (key not in _POLITE or _counts(sentence, at)):
            said.append(key)
        at += 1
    return said, frames


def _counts(sentence: Sentence, at: int) -> bool:
    """ "too bright", "I like this one": words that are polite elsewhere."""
    key = sentence.keys[at]
    return (key == "too" and sentence.keys[at + 1] in _TOO) or (
        key == "like" and sentence.key(at - 1) not in {"would", "id", "wed"}
    )


def _frame(sentence: Sentence, at: int) -> Item | None:
    """A frame at a token, with or without the word for one: "the hall", "on every screen", "the frame"."""
    lead = sentence.keys[at] in _LEADS
    j = sentence.skip(at + lead, _DETERMINERS)
    key = sentence.keys[j]
    if key == "everywhere":
        return Item("all_frames", at, j + 1)
    if key in {"every", "each", "all", "both", "other"}:
        end = sentence.skip(j + 1, {"of", "the", "my", "our", "other"})
        length = _frame_word(sentence, end)
        return Item("all_frames", at, end + length) if length else None
    size, ids = sentence.vocabulary.frames.longest(sentence.keys, j)
    if size:
        end = j + size
        return Item("frame", at, end + _frame_word(sentence, end), ids=(ids[0],))
    if length := _frame_word(sentence, j):
        return Item("filler", at, j + length) if j > at or lead else None
    if j == at + lead:
        return None  # no article: "turn off garage frame" is rare, "what frames are there" is not
    for words in (1, 2, 3):
        if not sentence.plain_word(j + words - 1):
            return None
        if length := _frame_word(sentence, j + words):
            return Item("unknown_frame", at, j + words + length, text=sentence.raw(j, j + words))
    return None


def _frame_word(sentence: Sentence, at: int) -> int:
    return next((n for n in (2, 1) if tuple(sentence.keys[at : at + n]) in FRAME_PHRASES), 0)


def _brightness(said: list[str]) -> tuple[Steer, str] | None:
    """ "set the brightness to 40 percent", "half brightness", "as bright as possible"."""
    if not {"brightness", "bright", "dim"} & set(said):
        return None
    rest = [word for word in said if word not in _ABOUT_BRIGHTNESS]
    below = rest[:1] in (["minus"], ["negative"])
    rest = rest[below:]
    value = number([*rest, *[""] * 8], 0) if rest else None
    if value is not None and value[1] == len(rest):
        return "brightness", "0" if below else str(min(value[0], 100))
    if len(rest) == 1 and rest[0] in _LEVELS:
        return "brightness", str(_LEVELS[rest[0]])
    return ("brightness", "100") if said[-4:] == ["as", "bright", "as", "possible"] else None


def _kept_as(sentence: Sentence, said: list[str]) -> tuple[Steer, str] | None:
    """ "save this as Holidays", "call this playlist Rome", "keep this list"."""
    verbs = {"save", "store", "keep", "rename", "call", "name"}
    if not said or said[0] not in verbs:
        return None
    j = next(at for at, key in enumerate(sentence.keys) if key in verbs) + 1
    start = sentence.skip(j, {"it", "this", "that", "these", "those", "them", "the", "my", *_LISTS, *PHOTO_WORDS})
    if start == j or (said[0] == "keep" and _LISTS.isdisjoint(said)):
        return None
    start = sentence.skip(start, {"as", "to", "under", "name", "called", "the"})
    named = (at for at in range(start + 1, len(sentence.tokens)) if _frame(sentence, at) is not None)
    end = next(named, len(sentence.tokens))
    while end > start and (sentence.token(end - 1).kind == "mark" or sentence.keys[end - 1] in {"please", "thanks"}):
        end -= 1
    if any(token.kind == "mark" for token in sentence.tokens[start:end]):
        return None  # "call it Summer, beach photos" asks for photos
    name = sentence.raw(start, end).strip("“”\"'")
    if not name and said[0] in {"rename", "call", "name"}:
        return None
    return "save", name


def _added(sentence: Sentence, said: list[str]) -> tuple[Steer, str] | None:
    """ "add this photo to my Holidays playlist"."""
    if said[:3] not in (["add", "it", "to"], ["put", "it", "into"], ["put", "it", "in"]):
        return None
    if said[3:] in (["favourites"], ["favorites"]):
        return None
    if said[0] == "put" and _LISTS.isdisjoint(said):
        return None
    keys = sentence.keys
    start = sentence.skip(next(at for at, key in enumerate(keys) if key in {"to", "into", "in"}) + 1, _DETERMINERS)
    end = start
    while end < len(sentence.tokens) and not (keys[end] in _LISTS or sentence.token(end).kind == "mark"):
        end += 1
    return ("add", sentence.raw(start, end)) if end > start else None


def _about_it(said: list[str]) -> bool:
    """ "is Anna in this picture?", "how old is Emma here?": asked of the shown picture."""
    asks = said[:1] in (["is"], ["are"], ["was"], ["were"], ["how"], ["who"], ["where"], ["when"], ["what"])
    return asks and len(said) > 2 and (said[-1] == "here" or said[-2:] in (["in", "it"], ["on", "it"]))


def _later(said: list[str], frames: list[Item]) -> tuple[Steer] | None:
    """ "turn it off at ten", "quiet hours from 10 to 7": a wish with a time of its own."""
    if said[:2] in (["quiet", "hours"], ["set", "quiet"]):
        return ("later",)
    for size in range(min(5, len(said) - 1), 0, -1):
        found = WISHES.values(tuple(said[:size]))
        if found and found[0] in ("on", "off", "brighter", "dimmer") and said[size] in _LATER:
            return ("later",) if frames or size > 1 else None
    return None


def _outside(said: list[str]) -> tuple[Steer] | None:
    """ "turn off the light in the kitchen" is nothing that framed can do."""
    switched = len(said) > 1 and said[0] in _OUTSIDE and ("on" in said[1:3] or "off" in said)
    return ("other",) if switched or (said[:1] == ["set"] and {"timer", "alarm", "reminder"} & set(said)) else None


def playlist(sentence: Sentence) -> tuple[str, str | None] | None:
    """The name of a playlist that is to be played, and the frame: "play the playlist Holidays in the hall"."""
    keys, size = sentence.keys, len(sentence.tokens)
    at = next((n for n in range(size) if keys[n] in _LISTS), None)
    if at is None or keys[at - 1] in {"a", "this", "that", "new"} or not _MAKING.isdisjoint(keys):
        return None
    start = sentence.skip(at + 1, {"called", "named", ":"})
    end = start
    while end < size and sentence.token(end).kind != "mark" and _frame(sentence, end) is None:
        end += 1
    named = _frame(sentence, end) if end < size else None
    frame = named.ids[0] if named is not None and named.slot == "frame" else None
    if end > start:
        of = keys[start] in _LEADS or keys[start] in {"with", "from", "about", "without"}
        quoted = sentence.token(start).kind == "quote"
        return None if of else (sentence.token(start).raw if quoted else sentence.raw(start, end), frame)
    first = next((n + 1 for n in range(at - 1, -1, -1) if keys[n] in _BEFORE_NAMES), 0)
    return (sentence.raw(first, at), frame) if 0 < at - first <= 6 else None
