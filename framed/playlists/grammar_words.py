"""The closed word lists of the sentence grammar: what is filler, what negates, what names a field of the plan."""

from framed.playlists.grammar_phrases import Phrases


def phrases(listed: str) -> tuple[tuple[str, ...], ...]:
    """ "show me, show" as the tokens of each phrase."""
    return tuple(tuple(words.split()) for words in listed.split(","))


FRAME_WORDS = frozenset(
    "frame frames tablet tablets display displays screen screens panel panels monitor monitors".split()
)
_FRAME_ADJECTIVES = frozenset({"picture", "photo", "digital", "eink", "epaper"})
FRAME_PHRASES = frozenset({(word,) for word in FRAME_WORDS} | {(a, w) for a in _FRAME_ADJECTIVES for w in FRAME_WORDS})

PHOTO_WORDS = frozenset(
    """photo photos picture pictures image images pic pics shot shots snap snaps snapshot snapshots photograph
    photographs ones memories stuff foto fotos slideshow slideshows""".split()
)

# Whom a request is said to; the name that a house gives its assistant is known by a greeting and a comma.
ASSISTANTS = frozenset("alexa google siri jarvis nabu mycroft assistant cortana bixby framed".split())
GREETINGS = frozenset("hey hi hello ok okay".split())

# What starts a request: filler at the beginning of a clause, a word of its own elsewhere ("dogs play").
COMMANDS = phrases(
    """show me, show us, show them, show, display, put up, put on, put, play, find me, find us, find, search for,
    search, look for, get me, get us, get, give me, give us, give, bring up, bring me, bring, pull up, let me see,
    let us see, lets see, i want to see, i want to look at, we want to see, i want, we want, i would like to see, i
    would like, id like to see, id love to see, id like, we would like to see, we would like, can you show me, can
    you, could you, would you, will you, can i see, may i see, could i see, can we see, can i have, could i have,
    can we have, i need, we need, please, pls, thanks a lot, thanks, thank you very much, thank you, hey, hi, hello,
    ok, okay, make me, make, create, build, start, run, load, switch to, change to, go to, go through, how about,
    what about, do you have, do we have, are there, is there, remind me of, remind us of, tell me about, see, watch,
    look at, lets have, lets look at, id love, use, fill, send me, send, cast, set, what do you have, take me to,
    take us to, bring back, go back to, ask framed to, ask framed for, tell framed to, ask framed, tell framed, let
    's see, let 's have a look at, let 's look at, let 's have, let 's watch, gimme, lemme see, yo, make show of, to
    show me, to show, to see, i should like to see, i should like, would you be so kind as to show me, would you be
    so kind as to show, would you be so kind as to, be so kind as to, what happened, what were we up to, what we
    were up to, can you like, could you like"""
)

# Filler wherever it stands.
FILLERS = phrases(
    """a slideshow of, a slide show of, slide show, a playlist of, a playlist with, a playlist from, playlist, a
    selection of, a collection of, a mix of, a series of, a set of, right now, for now, for me, for us,
    tonight, now, some of the, some of, some, any of the, any of, lots of, a lot of, plenty of, loads of, a
    bunch of, many, all of the, all of, all the, all my, all our, over the years, through the years, every
    year, each year, every day, each day, together, again, for a change, if you can, if possible, if there are
    any, as well, instead, taken by, taken, sorted, ordered, not only, not just, please, mostly, mainly,
    particularly, especially, maybe, perhaps, the kind of, a kind of, you have, we have, i have, that we have,
    you can find, you know what, you know, um, uh, uhm, erm, so far, dear me, look like, looks like, looking like,
    looked like, everywhere"""
)

PREPOSITIONS = frozenset(
    """of in on at by for from with to into onto about near around during through across along among behind below
    beneath beside besides between beyond inside within toward towards under over above featuring containing
    including showing as via against off up down out like visiting""".split()
)
ARTICLES = frozenset("a an the my our your his her its their this that these those".split())
FUNCTION_WORDS = (
    PREPOSITIONS
    | ARTICLES
    | frozenset(
        """which who whom whose where when while what how why is are was were be been being am do does did has have
    had having will would can could may might should shall it he she they we i you him them there here than
    then so such too very also both each just only all every everything even still yet if because me us myself
    ourselves 's im ive id ill its thats theres whos whats youre were weve dont got made took captured shot and or
    nor but plus & + / : - . anything something more most less least much many any some other another else one
    go went gone way s t o anywhere somewhere since before after until till""".split()
    )
)
PLACE_LEADS = frozenset("in at near from around to outside inside visiting through across".split())
PERSON_LEADS = frozenset(
    "of with without featuring except only just plus including excluding minus by not no but for".split()
)
ARTICLE_BEFORE_WORD = frozenset("a an the some any every this that these those red white yellow pink wild big".split())
PRONOUNS = frozenset("that which who it this you i we they he she there".split())

RELATIVES = (
    frozenset({"mum", "mom", "mam", "mummy", "mommy", "mama", "mamma", "mother"}),
    frozenset({"dad", "daddy", "papa", "father", "pa"}),
    frozenset({"grandma", "grandmother", "granny", "gran", "nan", "nana", "grandmum", "grandmom"}),
    frozenset({"grandpa", "grandfather", "granddad", "grandad", "gramps", "grampa"}),
)
INFORMAL_RELATIVES = frozenset(
    "mum mom mummy mommy mama dad daddy papa grandma granny gran nana grandpa granddad grandad gramps".split()
)
ALL_RELATIVES = INFORMAL_RELATIVES | frozenset(
    """mother father brother sister son daughter wife husband aunt uncle cousin niece nephew girlfriend boyfriend
    partner grandmother grandfather grandson granddaughter boss neighbour neighbor godmother godfather""".split()
)

# First words of a person's name that are no name of their own.
NO_GIVEN_NAMES = frozenset(
    """the a an my our unknown person baby little big old young dr mr mrs ms miss prof sir lady uncle aunt auntie
    cousin great new best friend of from boy girl man woman lord saint st and no not all""".split()
)

# Given names that are English words too; they need a sign that a person is meant.
WORD_NAMES = frozenset(
    """will mark rose art grace hope joy faith dawn bill pat jack rob sue drew chase sky angel daisy lily ivy
    holly ruby amber olive violet ginger melody harmony april may june august march summer autumn winter
    spring christian frank grant miles guy gene dean earl duke rich herb cliff glen heath lance max nick norm
    penny pearl crystal jade iris poppy hazel heather jasmine olive sage willow star sunny robin jay drake
    colt hunter mason carter cooper taylor tyler bob don ken stew ray rusty sandy skip ty victor wade ward
    woody buddy noel carol eve merry charity constance destiny eden felicity genesis haven honor honey journey
    justice liberty mercy misty patience prudence serenity trinity true unity venus victoria brook brooke bay
    river rain ocean forest stone rock birdie dot fern flora ginny happy kitty monday tuesday wednesday
    thursday friday saturday sunday easter christmas best good nice lucky baby love case major young white
    brown green black gray grey long short king queen prince page paris florence chelsea brooklyn london
    georgia virginia carolina dakota sydney austin dallas houston jackson orlando vienna verona lourdes israel
    jordan chad""".split()
)
# Those of them that are cities and countries, and no words: a person is meant only where one is called so.
NAME_PLACES = frozenset(
    """paris florence chelsea brooklyn london georgia virginia carolina dakota sydney austin dallas houston orlando
    vienna verona lourdes israel chad""".split()
)
# Places that are English words too.
WORD_PLACES = frozenset(
    """reading bath split mobile orange bar ham cork sandwich rust worms tours same male essen halle sale deal
    rugby battle hook lizard beer ware wells wool street hope hell police sale chester rye ash oban mold
    settle buffalo phoenix eagle aurora columbus eureka paradise independence surprise enterprise normal
    intercourse bend boulder golden sandy salem victoria perth bury flint hull wick nancy lens angers van
    bingen bad como pau cannes brest metz lund""".split()
)
# The verbs among them: after a pronoun they are verbs.
MODALS = frozenset({"will", "may", "mark", "chase", "grant", "skip", "don", "hope"})

# Ordinary words that begin with a capital in titles and careless typing, and are nobody's name.
ORDINARY = frozenset(
    """baby babies dog dogs cat cats pet pets kid kids child children boy boys girl girls man men woman women
    people family friend friends beach beaches sea ocean lake lakes river rivers mountain mountains hill hills
    forest forests wood woods tree trees flower flowers garden gardens park parks city cities town towns
    village street streets house houses home church castle bridge tower museum zoo school farm field fields
    snow ice rain sun sunset sunsets sunrise sky clouds night stars moon food cake cakes dinner lunch
    breakfast coffee wine beer car cars train trains boat boats ship ships plane planes bike bikes bus horse
    horses cow cows sheep bird birds fish animal animals birthday birthdays wedding weddings party parties
    holiday holidays vacation vacations trip trips travel travels hike hiking hikes skiing swimming camping
    sailing surfing cycling running dancing concert concerts festival graduation anniversary christening
    baptism funeral picnic barbecue bbq landscape landscapes portrait portraits selfie selfies nature wildlife
    architecture art artwork painting paintings drawing drawings screenshot screenshots document documents
    receipts memes videos video toys toy football soccer tennis basketball golf ball kitchen bathroom bedroom
    room living office work desk window door table red blue green yellow orange purple pink brown black white
    grey gray colour color summer winter spring autumn red old new best funny happy sad beautiful nice great
    good lovely pretty cute smiling laughing sleeping playing everything everyone everybody nobody nothing
    anyone anything someone something somewhere photo photos english french german italian spanish american
    european chinese japanese indian mexican dutch swedish british internet tv""".split()
)

COUNTRIES = frozenset(
    phrases(
        """afghanistan, albania, algeria, andorra, argentina, armenia, australia, austria, bahamas, bali, belgium,
        bolivia, bosnia, brazil, bulgaria, cambodia, canada, chile, china, colombia, costa rica, croatia, cuba,
        cyprus, czechia, denmark, ecuador, egypt, england, estonia, ethiopia, fiji, finland, france, germany,
        ghana, greece, greenland, guatemala, hungary, iceland, india, indonesia, iran, iraq, ireland, israel,
        italy, jamaica, japan, jordan, kenya, korea, south korea, laos, latvia, lebanon, liechtenstein,
        lithuania, luxembourg, madagascar, malaysia, maldives, malta, mauritius, mexico, monaco, mongolia,
        montenegro, morocco, namibia, nepal, netherlands, holland, new zealand, nigeria, norway, pakistan,
        panama, peru, philippines, poland, portugal, romania, russia, rwanda, scotland, senegal, serbia,
        seychelles, singapore, slovakia, slovenia, south africa, spain, sri lanka, sweden, switzerland, syria,
        taiwan, tanzania, thailand, tunisia, turkey, uganda, ukraine, uruguay, usa, united states, america,
        venezuela, vietnam, wales, zambia, zimbabwe, europe, asia, africa, london, paris, rome, berlin, madrid,
        barcelona, lisbon, vienna, prague, budapest, amsterdam, brussels, copenhagen, stockholm, oslo, helsinki,
        dublin, edinburgh, munich, hamburg, cologne, milan, venice, florence, naples, athens, istanbul, moscow,
        new york, los angeles, san francisco, chicago, boston, seattle, washington, miami, las vegas, toronto,
        vancouver, montreal, tokyo, kyoto, osaka, beijing, shanghai, hong kong, bangkok, sydney, melbourne,
        dubai, cairo, california, florida, texas, hawaii, alaska, tuscany, provence, bavaria, sicily, sardinia,
        corsica, crete, mallorca, majorca, ibiza, tenerife"""
    )
)

# A capitalised name that ends (or begins) so is a sight, and a picture can show it.
LANDMARK_ENDS = frozenset(
    """tower bridge park lake mountain castle cathedral museum zoo beach falls river island street square palace
    church stadium airport harbour harbor garden gardens hall opera house canyon valley bay coast hill hills
    gate abbey temple canal market station wall pier lighthouse desert forest glacier volcano canals""".split()
)
LANDMARK_STARTS = frozenset("mount mt lake cape fort port saint san santa st big loch river isle niagara grand".split())

NEGATORS = phrases(
    """no, not, without, w / o, except for, except, excluding, exclude, apart from, other than, aside from,
    minus, never, nor, neither, none of, none, dont show me, dont show, dont want to see, dont want, dont
    include, dont, do not show me, do not show, do not want, do not include, do not, i dont want to see, i
    dont want, i do not want, skip, omit, avoid, leave out, leaving out, nothing, non, instead of, rather
    than, fewer, less, doesnt, isnt, arent, with no, but no, but not, but without, hide, never any, not any,
    no more of, no more, stop showing me, stop showing, stop playing, never show me, never show, quit showing me,
    quit showing, enough of, dont play, do not play, outside of, outside, ignore, ignoring"""
)  # fmt: skip
NEGATOR_WORDS = frozenset(words[0] for words in NEGATORS)

# Phrases that are one field with one value, wherever they stand: (slot, value).
SIGNS: Phrases[tuple[str, str]] = Phrases()


def _signs(slot: str, value: str, phrases: str) -> None:
    for words in phrases.replace("\n", " ").split(","):
        SIGNS.add(tuple(words.split()), (slot, value))


_signs(
    "kind",
    "screenshot",
    """screenshot, screenshots, screen shot, screen shots, screen grab, screen grabs, screen capture, screen
    captures, screengrabs, screencaps""",
)
_signs(
    "kind",
    "photo",
    """real photos, actual photos, real photographs, actual photographs, camera photos, real pictures""",
)
_signs("kind", "document", "document, documents, paperwork, scanned documents, scanned pages, document scans")
_signs("kind", "drawing", "drawing, drawings, sketch, sketches, doodles")
_signs("people", "", "people, persons, humans, human beings, person, faces")
_signs(
    "nobody",
    "",
    """nobody, no one, noone, without anyone, without anybody, without people, no people, no humans, no faces, no
    persons, with nobody, with no one, without faces, without humans, without any people, no people at all,
    people free""",
)
_signs("everyone", "", "everyone, everybody")
_signs(
    "alone",
    "",
    """alone, by herself, by himself, by themselves, on her own, on his own, on their own, and nobody else,
    nobody else, and no one else, no one else, without anyone else, without anybody else, no other people,
    without other people, with no other people, with no one else, with nobody else, without others, and no
    others, solo, by myself, and not anyone else""",
)
_signs(
    "sort",
    "newest",
    """newest first, newest ones first, latest first, most recent first, recent first, the newest first, newest to
    oldest, from newest to oldest, new to old, from new to old, in reverse chronological order, reverse
    chronological order, reverse chronological, reverse order, in reverse order, by newest, newest at the top,
    with the newest first, when was the last time we were, when was the last time, when were we last, when did
    we last go, when did we last see, when did i last see, the last time we were""",
)
_signs(
    "sort",
    "oldest",
    """oldest first, the oldest first, earliest first, chronological, chronologically, in chronological order,
    chronological order, in order, in date order, by date, in time order, oldest to newest, from oldest to
    newest, old to new, from old to new, with the oldest first, by oldest, in the order they were taken""",
)
_signs(
    "sort",
    "random",
    """in random order, in a random order, random order, at random, random, randomly, shuffled, shuffle them,
    shuffle, mixed up, surprise me, surprise us, in any order, a surprise, all mixed up""",
)
_signs("sort", "best", "best first, the best first, by quality, best ones first")
_signs(
    "favourite",
    "",
    """favourites, favorites, faves, favs, starred, hearted, favourited, favorited, my loved""",
)
_signs(
    "blurry",
    "blurry",
    """blurry, blurred, unsharp, out of focus, fuzzy, badly exposed, overexposed, over exposed, underexposed,
    under exposed, shaky, badly lit, bad quality, low quality, poor quality""",
)
_signs(
    "quality",
    "good",
    """in focus, high quality, good quality, well exposed, in good quality, properly exposed""",
)
_signs(
    "mono",
    "yes",
    """black and white, black & white, b & w, b and w, b / w, bw, monochrome, greyscale, grayscale, grey scale,
    gray scale, in black and white, in black & white, in b & w, in monochrome""",
)
_signs("mono", "no", "in colour, in color, in full colour, in full color")
_signs("orientation", "panorama", "panorama, panoramas, panoramic")
_signs(
    "new",
    "",
    """just added, recently added, newly added, added recently, recently taken, new ones, most recent ones, the
    latest ones, recently""",
)
_signs("new", "photos", "new, newest, latest, most recent, recent")
_signs(
    "more",
    "",
    """more like this, more like that, more like these, more like those, more like it, more of the same, more of
    these, more of those, more of this, more of that, similar ones, more similar, like this, like that, like
    these, similar to this, similar to these, look like this, look like that, looks like this, looks like that,
    look like this one, like this one, like that one, others like this, others like it""",
)
_signs("every_frame", "", "everywhere")
_signs("all", "", "everything")

TIMED_LIGHT: dict[tuple[str, ...], tuple[str, ...]] = {
    ("sunset",): ("afternoon", "evening"),  # half past three in a northern December
    ("sunsets",): ("afternoon", "evening"),
    ("sunrise",): ("morning",),
    ("sunrises",): ("morning",),
    ("dusk",): ("afternoon", "evening"),
    ("twilight",): ("afternoon", "evening"),
    ("golden", "hour"): ("morning", "afternoon", "evening"),
    ("blue", "hour"): ("morning", "evening", "night"),
}

COLOURS = {
    "red": "red", "orange": "orange", "yellow": "yellow", "green": "green", "blue": "blue", "purple": "purple",
    "violet": "purple", "pink": "pink", "brown": "brown", "white": "white", "black": "black", "grey": "grey",
    "gray": "grey", "teal": "teal", "turquoise": "turquoise", "golden": "yellow", "beige": "brown", "lilac": "purple",
}  # fmt: skip
COLOUR_NOUNS = frozenset("tones tone colours colors colour color shades shade hues hue mood palette tint tints".split())

BEST = frozenset("best nicest finest greatest prettiest loveliest coolest".split())
GOOD = frozenset("good nice great beautiful pretty lovely decent gorgeous stunning sharp crisp wonderful".split())
BEST_OTHERWISE = frozenset("friend friends man buddy buddies mate mates men practice seller western".split())

SETTINGS_HEADS = frozenset(
    "house place home flat apartment garden room kitchen farm cottage office school yard bedroom cabin village".split()
)  # "at Anna's house": where, and not who

STOP_TAGS = FUNCTION_WORDS | FRAME_WORDS | frozenset({"person", "screenshot", "photography", "document"})


def _table(phrases: tuple[tuple[str, ...], ...]) -> Phrases[str]:
    table: Phrases[str] = Phrases()
    for words in phrases:
        table.add(words, " ".join(words))
    return table


COMMAND_TABLE = _table(COMMANDS)
FILLER_TABLE = _table(FILLERS)
NEGATOR_TABLE = _table(NEGATORS)
