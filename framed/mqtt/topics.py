"""Every MQTT topic of the contract, the topics to subscribe to, and the reading of a topic that came in."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from framed.errors import BadRequest

Kind = Literal["request", "hello", "availability", "report", "set", "cmd", "ask", "home_assistant", "status"]

_SLUG: Final = re.compile(r"[a-z0-9_-]{1,32}")
_TRANSACTION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LEVELS: Final = re.compile(r"[A-Za-z0-9_-]{1,32}(/[A-Za-z0-9_-]{1,32}){0,3}")
_VERB: Final = re.compile(r"[^\x00-\x1f\x7f+#]{1,64}")
_ANSWER: Final = re.compile(r"[^$\x00-\x1f\x7f+#][^\x00-\x1f\x7f+#]{0,511}")

_FRAME_STATES: Final = ("hello", "availability")
_FRAME_COMMANDS: Final = ("report", "set", "cmd", "ask")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A filter to subscribe to.

    `command`: retained messages are refused there. `no_local`: on MQTT 5 the broker keeps what this client
    publishes to itself.
    """

    filter: str
    qos: Literal[0, 1] = 1
    command: bool = False
    no_local: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """What an incoming topic means: `verb` for a request, `frame` for everything under a frame."""

    kind: Kind
    frame: str | None = None
    verb: str | None = None


def check_slug(text: str, *, field: str = "frame") -> str:
    """An id that can stand in a topic, or BadRequest naming `field`."""
    if not _SLUG.fullmatch(text):
        raise BadRequest(
            f"The {field} id {text[:40]!r} must be 1 to 32 characters of a–z, 0–9, '_' and '-'.", field=field
        )
    return text


def check_transaction(text: str) -> str:
    if not _TRANSACTION.fullmatch(text):
        raise BadRequest(
            "The transaction must be 1 to 64 characters of A–Z, a–z, 0–9, '_' and '-'.", field="transaction"
        )
    return text


class Topics:
    """The contract's topics under one base.

    `discovery` is Home Assistant's prefix and `home_assistant_status` its birth topic; a user can change both there.
    """

    def __init__(
        self, base: str = "framed", *, discovery: str = "homeassistant", home_assistant_status: str | None = None
    ) -> None:
        for name, value in (("base topic", base), ("discovery prefix", discovery)):
            if not _LEVELS.fullmatch(value):
                raise BadRequest(
                    f"The {name} {value[:60]!r} must be one to four levels of A–Z, a–z, 0–9, '_' and '-'"
                    " joined by '/', such as 'framed'.",
                    field=name,
                )
        self.base = base
        self.discovery_prefix = discovery
        self.home_assistant_status = home_assistant_status or f"{discovery}/status"
        self.status = f"{base}/status"
        self.info = f"{base}/info"
        self.health = f"{base}/health"
        self.library = f"{base}/library"
        self.event = f"{base}/event"
        self.log = f"{base}/log"
        self.reply = f"{base}/reply"
        self.art_state = f"{base}/art/state"
        self.art_thumb = f"{base}/art/thumb"
        self.playlists = f"{base}/playlists"

    def request(self, verb: str) -> str:
        return f"{self.base}/request/{verb}"

    def response(self, verb: str) -> str:
        return f"{self.base}/response/{verb}"

    def reply_to(self, transaction: str) -> str:
        return f"{self.base}/reply/{check_transaction(transaction)}"

    def job(self, job: str) -> str:
        return f"{self.base}/job/{check_transaction(job)}"

    def discovery(self, instance: str, frame: str | None = None) -> str:
        """Home Assistant's device config topic of the daemon, or of one of its frames."""
        check_slug(instance, field="instance")
        device = f"framed_{instance}" if frame is None else f"framed_{instance}_{check_slug(frame)}"
        return f"{self.discovery_prefix}/device/{device}/config"

    def hello(self, frame: str) -> str:
        return self._frame(frame, "hello")

    def availability(self, frame: str) -> str:
        return self._frame(frame, "availability")

    def show(self, frame: str) -> str:
        return self._frame(frame, "show")

    def playlist(self, frame: str) -> str:
        return self._frame(frame, "playlist")

    def image(self, frame: str) -> str:
        return self._frame(frame, "image")

    def control(self, frame: str) -> str:
        return self._frame(frame, "control")

    def report(self, frame: str) -> str:
        return self._frame(frame, "report")

    def state(self, frame: str) -> str:
        return self._frame(frame, "state")

    def thumb(self, frame: str) -> str:
        return self._frame(frame, "thumb")

    def set(self, frame: str) -> str:
        return self._frame(frame, "set")

    def cmd(self, frame: str) -> str:
        return self._frame(frame, "cmd")

    def ask(self, frame: str) -> str:
        return self._frame(frame, "ask")

    def _frame(self, frame: str, leaf: str) -> str:
        return f"{self.base}/frame/{check_slug(frame)}/{leaf}"

    def retained_of_frame(self, frame: str, *, instance: str) -> tuple[str, ...]:
        """All that may be retained for a frame, its discovery too: what to clear when it is removed."""
        leaves = ("hello", "availability", "show", "playlist", "image", "state", "thumb")
        return (*(self._frame(frame, leaf) for leaf in leaves), self.discovery(instance, frame))

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the daemon listens to: named filters, so that its own traffic does not come back to it."""
        frame = f"{self.base}/frame/+"
        return (
            Subscription(self.request("#"), command=True),
            # The daemon writes the availability of frames that only pull, so it must not hear itself there.
            *(Subscription(f"{frame}/{leaf}", no_local=leaf == "availability") for leaf in _FRAME_STATES),
            *(Subscription(f"{frame}/{leaf}", command=True) for leaf in _FRAME_COMMANDS),
            Subscription(self.home_assistant_status, qos=0),
        )

    def frame_subscriptions(self, frame: str, *, delivery: Literal["url", "mqtt"]) -> tuple[Subscription, ...]:
        """What a frame listens to: its own named topics, so that no thumbnail overruns a small client."""
        picture = (Subscription(self.image(frame)),) if delivery == "mqtt" else ()
        control = Subscription(self.control(frame), command=True)
        return (Subscription(self.show(frame)), *picture, control, Subscription(self.status))

    def parse(self, topic: str) -> Address | None:
        """What `topic` means, or None for one that the contract does not have."""
        if topic == self.home_assistant_status:
            return Address("home_assistant")
        if topic == self.status:
            return Address("status")
        if not topic.startswith(self.base + "/"):
            return None
        head, _, rest = topic[len(self.base) + 1 :].partition("/")
        if head == "request":
            # what cannot be a verb is answered too, under a name that can stand in a topic
            return Address("request", verb=rest if _VERB.fullmatch(rest) else "unknown")
        if head == "frame":
            return _frame_address(rest)
        return None

    def frame_of(self, topic: str) -> str | None:
        """The frame that a topic is about, or None."""
        head, _, rest = topic.removeprefix(f"{self.base}/").partition("/")
        frame = rest.partition("/")[0]
        return frame if head == "frame" and _SLUG.fullmatch(frame) else None

    def may_answer(self, topic: str) -> bool:
        """Whether an answer may go to the Response Topic that a requester chose.

        Else anybody who may ask could have the daemon write its own state, a frame's or Home Assistant's topics.
        """
        if not _ANSWER.fullmatch(topic):
            return False
        if topic.startswith(f"{self.base}/"):
            return topic.startswith(f"{self.base}/response/")
        return topic != self.base and not topic.startswith(f"{self.discovery_prefix}/")


def _frame_address(rest: str) -> Address | None:
    frame, _, leaf = rest.partition("/")
    if not _SLUG.fullmatch(frame):
        return None
    match leaf:
        case "hello" | "availability" | "report" | "set" | "cmd" | "ask":
            return Address(leaf, frame=frame)
        case _:
            return None
