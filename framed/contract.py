"""The MQTT contract as data: the topics, and the JSON Schemas of what framed accepts."""

from typing import Any, Literal, NamedTuple

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
    Topic("framed/library", "framed →", "yes", 1, "how many photos there are, analysed, waiting and failed"),
    Topic("framed/event", "framed →", "no", 1, "one thing that happened; `event_type` names it"),
    Topic("framed/log", "framed →", "no", 0, "warnings and errors, repeated ones folded into one with a count"),
    Topic("framed/request/<verb>", "home → framed", "no", 1, "a request as a JSON object; `ask` takes a bare sentence"),
    Topic("framed/response/<verb>", "framed →", "no", 1, "its answer: ok, accepted or error, with the transaction"),
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
        "`online` or `offline`; framed writes it where a frame pulls",
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


def schemas() -> dict[str, Any]:
    """JSON Schema of each payload framed takes: by verb under `requests`, by topic under `frames`."""
    from framed.frames.registry import Hello
    from framed.handlers.accounts import AccountHandler
    from framed.handlers.frames import Command, FrameHandler, Report
    from framed.handlers.photos import PhotoHandler
    from framed.handlers.playlists import PlaylistHandler
    from framed.handlers.system import SystemHandler

    requests = {}
    for handler in (AccountHandler, FrameHandler, PhotoHandler, PlaylistHandler, SystemHandler):
        for method in vars(handler).values():
            if (marked := getattr(method, "__framed_verb__", None)) is not None:
                verb, payload = marked
                requests[verb] = payload.model_json_schema()
    frames = {
        "framed/frame/<f>/hello": Hello.model_json_schema(),
        "framed/frame/<f>/report": Report.model_json_schema(),
        "framed/frame/<f>/cmd": Command.model_json_schema(),
    }
    return {"requests": dict(sorted(requests.items())), "frames": frames}
