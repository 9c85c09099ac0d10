"""What a frame signs in to framed's own broker with: an account that opens its topics and no others."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from pydantic import Field

from framed.errors import Unavailable, UnknownFrame
from framed.frames.registry import Registry
from framed.mqtt.broker import ManagedBroker
from framed.mqtt.endpoint import Endpoint
from framed.mqtt.topics import check_slug
from framed.router import Request, answers


class FrameAccount(Request):
    """The MQTT account of a frame, made where there is none yet; `renew` gives it a new password."""

    frame: str = Field(min_length=1, max_length=80)
    renew: bool = False


class AccountHandler:
    """`broker` and `endpoint` are set where framed runs its own broker, before anything is asked."""

    broker: ManagedBroker | None = None
    endpoint: Endpoint | None = None

    def __init__(self, *, registry: Registry, lan_address: Callable[[], str]) -> None:
        self._registry = registry
        self._lan_address = lan_address

    def listen(self) -> None:
        """Nothing: a frame's account ends with `remove`."""

    @answers("frame/account", FrameAccount, secret=True)
    async def account(self, request: FrameAccount) -> dict[str, Any]:
        """Also for a frame that is not known yet: it needs the account for its first hello."""
        if self.broker is None or self.endpoint is None:
            raise Unavailable("framed uses a broker of yours: make an account for the frame there.")
        try:
            frame = self._registry.find(request.frame).id
        except UnknownFrame:
            frame = check_slug(request.frame)
        account = await self.broker.add_frame(frame, renew=request.renew)
        password = account.password.get_secret_value()
        host = self._lan_address() if self.broker.open_to_lan else self.endpoint.host
        answer: dict[str, Any] = {
            "frame": frame,
            "host": host,
            "port": self.endpoint.port,
            "username": account.username,
            "password": password,
            "url": f"mqtt://{quote(account.username)}:{quote(password)}@{host}:{self.endpoint.port}",
        }
        if not self.broker.open_to_lan:
            answer["note"] = "The broker listens on this machine only; mqtt.bind: 0.0.0.0 opens it to the home."
        return answer

    async def remove(self, frame: str) -> None:
        if self.broker is not None:
            await self.broker.remove_frame(frame)
