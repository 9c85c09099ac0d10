"""The contract as data: MQTT topics, requests, error codes, HTTP addresses, and the JSON Schemas of what framed takes.

`docs/contract.md` is printed from here (`make docs`), and a test holds it and the README to the code.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from framed.errors import FramedError

Retained = Literal["yes", "no", "on request", "60 s"]


class Topic(NamedTuple):
    """`direction` says who writes: framed, a frame, or the home (Home Assistant, automations, voice)."""

    topic: str
    direction: str
    retained: Retained
    qos: int
    meaning: str


TOPICS: tuple[Topic, ...] = (
    Topic("framed/status", "framed →", "yes", 1, "`online` or `offline`; the broker says offline when framed is lost"),
    Topic("framed/info", "framed →", "yes", 1, "version, HTTP address, limits, backends and the verbs it answers"),
    Topic("framed/health", "framed →", "yes", 0, "every minute: uptime, queue, hosts, memory, errors of the last hour"),
    Topic(
        "framed/library",
        "framed →",
        "yes",
        1,
        "how many photos there are, analysed, waiting, failed; deeper looks left",
    ),
    Topic("framed/event", "framed →", "no", 1, "one thing that happened; `event_type` names it"),
    Topic("framed/log", "framed →", "no", 0, "warnings and errors, repeated ones folded into one with a count"),
    Topic("framed/request/<verb>", "home → framed", "no", 1, "a request as a JSON object; `ask` takes a bare sentence"),
    Topic(
        "framed/response/<verb>",
        "framed →",
        "no",
        1,
        "its answer: ok, accepted or error, with the transaction; also on an MQTT 5 Response Topic below"
        " `framed/response/` or of your own, with its Correlation Data",
    ),
    Topic("framed/reply", "framed →", "no", 1, "the latest answer as words to be spoken"),
    Topic("framed/reply/<transaction>", "framed →", "60 s", 1, "the same for one request, for who subscribes late"),
    Topic("framed/job/<id>", "framed →", "no", 1, "state and progress of long work, at most twice a second"),
    Topic("framed/art/state", "framed →", "yes", 1, "the newest generated picture and how it was made"),
    Topic("framed/art/thumb", "framed →", "yes", 0, "the same as a small JPEG"),
    Topic("framed/playlists", "framed →", "yes", 1, "the saved playlists: id, name, count, time of change"),
    Topic("framed/frame/<f>/hello", "frame →", "yes", 1, "what the frame is: size, formats, delivery, sleep"),
    Topic(
        "framed/frame/<f>/availability",
        "frame →",
        "yes",
        1,
        "`online` or `offline`; framed writes it where a frame pulls, or sleeps and has missed three wakes",
    ),
    Topic(
        "framed/frame/<f>/show", "framed → frame", "yes", 1, "the picture to have on the panel: address, SHA-256, size"
    ),
    Topic("framed/frame/<f>/playlist", "framed → frame", "yes", 1, "the next pictures, and where the whole list is"),
    Topic("framed/frame/<f>/image", "framed → frame", "on request", 1, "the bytes of `show`, for frames without HTTP"),
    Topic("framed/frame/<f>/control", "framed → frame", "no", 1, "brightness, identify or restart; void after 30 s"),
    Topic("framed/frame/<f>/report", "frame → framed", "no", 1, "what it shows, battery, signal, button, trouble"),
    Topic(
        "framed/frame/<f>/state", "framed →", "yes", 1, "what a frame shows, why, from which playlist, and its settings"
    ),
    Topic("framed/frame/<f>/thumb", "framed → home", "yes", 0, "what a frame shows, as a small JPEG"),
    Topic("framed/frame/<f>/set", "home → framed", "no", 1, "settings to change; those not named stay"),
    Topic("framed/frame/<f>/cmd", "home, frame → framed", "no", 1, "next, previous, pause and so on, bare or as JSON"),
    Topic("framed/frame/<f>/ask", "home → framed", "no", 1, "a sentence for this frame"),
    Topic("homeassistant/device/framed_<inst>[_<f>]/config", "framed → home", "yes", 1, "device discovery"),
    Topic("homeassistant/status", "home → framed", "no", 0, "Home Assistant has started: framed sends its state again"),
)


VERBS: dict[str, str] = {
    "ask": "words → photos, on a frame where one is meant; answers with a sentence to be spoken",
    "frame/account": "the account of a frame on framed's own broker, made where there is none yet",
    "frame/add": "a new frame; its link comes back",
    "frame/cmd": "next, previous, pause, resume, refresh, favourite, hide, more_like_this, undo or identify",
    "frame/link": "a new link for a frame; its earlier ones end",
    "frame/list": "every frame, what it shows and its link",
    "frame/preview": "what a photo would look like on a frame, shown nowhere",
    "frame/remove": "forget a frame and clear its topics",
    "frame/rename": "what people call a frame",
    "frame/set": "settings of a frame, as on `framed/frame/<f>/set`",
    "health": "uptime, queue, hosts, memory, broker, library",
    "job/cancel": "end long work",
    "job/get": "one piece of long work",
    "job/list": "the long work, the newest first",
    "library/reanalyse": "take steps again, of one photo or of all; what was known holds where that fails",
    "library/status": "the folders: files, last look, what is wrong with them",
    "library/rescan": "look through the folders now",
    "models/list": "what does each task, and why; every backend, and the weights that can be downloaded",
    "models/pull": "download weights; a licence that asks is accepted with `accept_licence`",
    "models/remove": "remove weights; those in use only with `force`",
    "models/verify": "read weights again, say which are damaged, and `fetch` those anew",
    "options/get": "options that can be set while framed runs",
    "options/set": "hold the analysis back, or change what is logged",
    "options/reload": "read the configuration again; what changed, and what waits for a restart",
    "person/assign": "these faces are this person, known or new",
    "person/cover": "the face that stands for a person",
    "person/get": "a person's faces, the best first",
    "person/group": "group all faces anew; what was said of them holds",
    "person/hide": "leave a person out of lists, names and captions, or no longer",
    "person/list": "the people in the photos, with a name and without",
    "person/merge": "these were one person all along",
    "person/name": "what a person is called",
    "person/photo": "the faces of one photo and who they are",
    "person/reject": "these faces are not this person",
    "person/split": "these faces of a person are somebody else",
    "photo/favourite": "make a photo a favourite, or no longer",
    "photo/get": "everything known of a photo, with its path",
    "photo/hide": "never show a photo again, or show it again",
    "photo/list": "photos by state; the failed ones with their reason",
    "photo/search": "words → photos, shown nowhere",
    "photo/similar": "photos that look alike (embedding), show the same people (face) or are nearly the same (hash)",
    "photo/tag": "tags that a person gives",
    "playlist/delete": "forget a playlist",
    "playlist/get": "a playlist with its photos and reasons",
    "playlist/list": "the playlists",
    "playlist/plan": "how words are understood; nothing is searched",
    "playlist/save": "keep a playlist under a name",
    "playlist/set": "play a playlist, words or chosen photos on a frame",
    "schedule/list": "what framed does by itself, and when next",
}
"""What each request is for. One that is missing here is explained by the first line of its method's docstring."""

LATER: dict[str, str] = {
    "art/generate": "Making pictures comes in a later version of framed.",
    "art/prompt": "Making pictures comes in a later version of framed.",
    "art/tonight": "Making pictures comes in a later version of framed.",
}
"""Requests that this version answers with `unavailable`, and the sentence it says."""

ERRORS: dict[str, str] = {
    "bad_json": "the payload is not a JSON object in UTF-8",
    "bad_request": "a field is missing or wrong; `field` names it",
    "unknown_verb": "there is no such request",
    "unknown_frame": "there is no such frame",
    "unknown_photo": "there is no such photo",
    "unknown_playlist": "there is no such playlist",
    "unknown_person": "there is no such person",
    "busy": "too much at once, or the disk is full: try again later",
    "too_large": "the payload is over its limit",
    "expired": "it came too late",
    "not_ready": "framed is still starting",
    "unavailable": "what it needs is not installed, or comes in a later version",
    "cancelled": "it was cancelled",
    "timeout": "it took too long",
    "refused": "not allowed: a token, a hostile path",
    "bad_photo": "the picture cannot be read",
    "internal": "a fault of framed; its log says more",
}


class Route(NamedTuple):
    """`who` may use it: anyone, the owner (token or session), or a frame with its token."""

    method: str
    path: str
    who: Literal["anyone", "owner", "frame"]
    meaning: str


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", "owner", "the owner's page; `?token=` signs in"),
    Route("GET", "/login", "anyone", "the page to sign in"),
    Route("POST", "/login", "anyone", "signs in with the token"),
    Route("POST", "/logout", "anyone", "signs out"),
    Route("GET", "/session", "anyone", "whether this browser is signed in"),
    Route("GET", "/healthz", "anyone", "`ok`, `problem` or `starting`"),
    Route("GET", "/metrics", "owner", "Prometheus text"),
    Route("GET", "/api/v1/openapi.json", "owner", "OpenAPI of the requests"),
    Route("GET", "/api/v1/events", "owner", "changes as server-sent events"),
    Route("POST", "/api/v1/frame/{frame}/cmd", "owner", "the same as `frame/cmd`"),
    Route("POST", "/api/v1/{verb}", "owner", "every request above, as JSON"),
    Route("GET", "/photo/{photo}/{size}", "owner", "`preview`, `thumb` or `original` of a photo"),
    Route("GET", "/photo/{photo}/face/{face}", "owner", "one face of a photo, cut out"),
    Route("GET", "/p/{sha256}.{extension}", "frame", "a rendered picture; never changes, ETag and ranges"),
    Route("GET", "/frame/{frame}", "frame", "the frame page for a browser"),
    Route("GET", "/frame/{frame}/image.{format}", "frame", "the picture now, as jpg, png or bmp; `?w=&h=`; ETag"),
    Route("GET", "/frame/{frame}/p/{sha256}.{extension}", "frame", "a picture of this frame"),
    Route("GET", "/frame/{frame}/playlist.json", "frame", "the whole list that plays"),
    Route("GET", "/frame/{frame}/show.json", "frame", "what should be on the panel now"),
    Route("GET", "/frame/{frame}/events", "frame", "changes as server-sent events"),
    Route("POST", "/frame/{frame}/hello", "frame", "what the frame is, as on MQTT"),
    Route("POST", "/frame/{frame}/report", "frame", "what it shows, as on MQTT"),
    Route("POST", "/frame/{frame}/cmd", "frame", "next, previous and so on, as on MQTT"),
    Route("GET", "/static/{name}", "anyone", "what the pages load"),
    Route("GET", "/favicon.ico", "anyone", "the icon"),
)


def verbs() -> dict[str, tuple[type[Any], str]]:
    """Every request that a handler answers: the class of its payload, and what it is for."""
    import framed.handlers

    found: dict[str, tuple[type[Any], str]] = {}
    for entry in pkgutil.iter_modules(framed.handlers.__path__):
        module = importlib.import_module(f"framed.handlers.{entry.name}")
        for method in _methods(module):
            if (marked := getattr(method, "__framed_verb__", None)) is not None:
                verb, payload = marked
                words = VERBS.get(verb) or (method.__doc__ or "").strip().partition("\n")[0].rstrip(".")
                found[verb] = (payload, words)
    return dict(sorted(found.items()))


def _methods(module: Any) -> Iterator[Any]:
    for thing in vars(module).values():
        if isinstance(thing, type) and thing.__module__ == module.__name__:
            yield from vars(thing).values()


def codes() -> set[str]:
    """The error codes that framed can answer with."""
    found, todo = {FramedError.code}, [FramedError]
    while todo:
        children = todo.pop().__subclasses__()
        found |= {child.code for child in children}
        todo += children
    return found


def schemas() -> dict[str, Any]:
    """JSON Schema of each payload framed takes: by verb under `requests`, by topic under `frames`."""
    from framed.frames.registry import FrameOptions, Hello
    from framed.handlers.frames import Command, Report

    frames = {
        "framed/frame/<f>/hello": Hello.model_json_schema(),
        "framed/frame/<f>/report": Report.model_json_schema(),
        "framed/frame/<f>/set": FrameOptions.model_json_schema(),
        "framed/frame/<f>/cmd": Command.model_json_schema(),
    }
    return {"requests": {verb: payload.model_json_schema() for verb, (payload, _) in verbs().items()}, "frames": frames}


# -- printed -------------------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    """All of it, for `framed contract --json`."""
    return {
        "topics": [topic._asdict() for topic in TOPICS],
        "verbs": {verb: words for verb, (_, words) in verbs().items()},
        "later": LATER,
        "errors": ERRORS,
        "routes": [route._asdict() for route in ROUTES],
        "schemas": schemas(),
    }


def markdown() -> str:
    """`docs/contract.md`."""
    parts = [
        "# The contract",
        "Printed by `framed contract --markdown` (`make docs`); `framed contract --json` has the JSON Schemas too.",
    ]
    for title, words, heads, rows in sections():
        lines = [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]
        parts += [f"## {title}", words, "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


Section = tuple[str, str, list[str], list[list[str]]]


def sections() -> Iterator[Section]:
    """Title, introduction, column heads and rows of each table."""
    yield (
        "MQTT topics",
        "Below `mqtt.base_topic`, `framed` unless set otherwise. JSON in UTF-8 with `v`, the version of the schema, 1;"
        " unknown keys are ignored. What is retained is state; what asks or tells is never retained, and is refused"
        " where it is. MQTT 5 and 3.1.1.",
        ["topic", "who writes", "retained", "QoS", "what it holds"],
        [[f"`{topic}`", who, kept, str(qos), words] for topic, who, kept, qos, words in TOPICS],
    )
    yield (
        "Requests",
        "By MQTT on `framed/request/<verb>`, by HTTP as `POST /api/v1/<verb>`. Every one may carry `transaction`, and"
        " the same transaction within ten minutes gets its first answer again. Long work is answered twice: `accepted`"
        " with `data.job` at once, and with its end where the request has a transaction or a Response Topic;"
        " `framed/job/<id>` says how far it is. `?` marks what may be left out.",
        ["verb", "fields", "what it is for"],
        [[f"`{verb}`", _fields(payload), words] for verb, (payload, words) in verbs().items()],
    )
    yield (
        "Requests that come later",
        "This version answers them with `unavailable`, and writes nothing to the `art` and the discovery topics yet.",
        ["verb", "what it says"],
        [[f"`{verb}`", words] for verb, words in LATER.items()],
    )
    yield (
        "Error codes",
        "In `error.code` of a response, beside a sentence in `error.message`.",
        ["code", "meaning"],
        [[f"`{code}`", words] for code, words in ERRORS.items()],
    )
    yield (
        "HTTP",
        "The owner sends `Authorization: Bearer` with the token of the data folder, or has signed in; a frame sends its"
        " token as `?k=`. With `http.open_lan: true` the home's devices need no token for frames and pictures.",
        ["method", "address", "who", "what it is"],
        [[method, f"`{path}`", who, words] for method, path, who, words in ROUTES],
    )


def _fields(payload: type[Any]) -> str:
    named = [
        f"`{name}{'' if field.is_required() else '?'}`"
        for name, field in payload.model_fields.items()
        if name != "transaction"
    ]
    return " ".join(named) or "–"
