"""What framed must know of a kind of broker to run it."""

from typing import Final, Protocol

from framed.mqtt.endpoint import BrokerKind

# Pictures go by HTTP; 20 MB is what a user may raise mqtt.max_binary_bytes to before the broker is in the way.
MESSAGE_LIMIT: Final = 20_000_000


class Recipe(Protocol):
    """How one kind of broker is written down and started; `write` is called in a thread."""

    @property
    def kind(self) -> BrokerKind: ...
    @property
    def note(self) -> str: ...
    def ports(self) -> tuple[int, ...]: ...
    def write(self, passwords: dict[str, str]) -> None: ...
    def command(self) -> list[str]: ...
    def is_command(self, command: list[str]) -> bool: ...
