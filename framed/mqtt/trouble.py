"""Why there is no connection, as a sentence that says what to change, and how long to wait because of it."""

import socket
import ssl
from typing import Final

from framed.mqtt.settings import MqttSettings, Version

# Reason codes of MQTT 5; paho translates those of 3.1.1 to them.
BAD_VERSION: Final = 0x84
BAD_PASSWORD: Final = 0x86
NOT_AUTHORISED: Final = 0x87
BANNED: Final = 0x8A
TAKEN_OVER: Final = 0x8E
PACKET_TOO_LARGE: Final = 0x95
ADMINISTRATIVE: Final = 0x98


class NoConnection(Exception):
    """`try_other` where another protocol version may do better; `refused` where only a person can mend it, so that
    asking again every second would be hammering, and get the address banned by some brokers."""

    def __init__(self, sentence: str, *, try_other: bool = False, refused: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.try_other = try_other
        self.refused = refused


def why_not(error: Exception, settings: MqttSettings, version: Version, *, reached: bool) -> NoConnection:
    """Why a connection was not made; `reached`: something listens there."""
    where = f"{settings.host}:{settings.port}"
    reason = getattr(getattr(error, "rc", None), "value", None)
    if reason in (BAD_PASSWORD, NOT_AUTHORISED) and settings.username is None:
        return NoConnection(
            f"The MQTT broker at {where} wants a user: set mqtt.username and mqtt.password.", refused=True
        )
    if reason in (BAD_PASSWORD, NOT_AUTHORISED):
        return NoConnection(
            f"The MQTT broker at {where} refuses user {settings.username!r}: check mqtt.username and mqtt.password.",
            refused=True,
        )
    if reason == BAD_VERSION:
        return NoConnection(
            f"The MQTT broker at {where} does not speak MQTT {version}: set mqtt.protocol to auto.", try_other=True
        )
    if reason is not None:
        return NoConnection(
            f"The MQTT broker at {where} refuses the client {settings.client_id!r}: {error}.", refused=reason == BANNED
        )
    if reached:
        return NoConnection(
            f"{where} takes the connection but does not answer as an MQTT broker: check mqtt.port,"
            " mqtt.tls and the password.",
            try_other=True,
        )
    return NoConnection(_why_unreachable(error.__cause__ or error.__context__ or error, settings, where))


def why_lost(reason: int | None, settings: MqttSettings, *, again: bool) -> str:
    """Why a connection that stood has ended; `again`: the last few did not hold either."""
    match reason:
        case int() if reason == TAKEN_OVER:
            return f"Another MQTT client uses the client id {settings.client_id!r}: give each its own."
        case int() if reason == PACKET_TOO_LARGE:
            return "The MQTT broker hung up on a message larger than it takes."
        case int() if reason in (NOT_AUTHORISED, BANNED, ADMINISTRATIVE):
            return "The MQTT broker ended the connection for administrative reasons: check the user's rights."
        case _:
            lost = f"The connection to the MQTT broker at {settings.host}:{settings.port} was lost"
            # Mosquitto 2.0 does not say so, and 3.1.1 cannot.
            more = f" again: does another MQTT client use the client id {settings.client_id!r}?"
            return lost + (more if again else ".")


def _why_unreachable(cause: BaseException, settings: MqttSettings, where: str) -> str:
    match cause:
        case ssl.SSLError():
            detail = getattr(cause, "verify_message", "") or cause.reason or str(cause)
            return f"No TLS connection to the MQTT broker at {where}: {detail}. Check mqtt.tls and mqtt.port."
        case socket.gaierror():
            return f"The host name {settings.host!r} of the MQTT broker is not known: check mqtt.host."
        case ConnectionRefusedError():
            return f"No MQTT broker listens at {where}: start it, or check mqtt.host and mqtt.port."
        case _:
            return f"The MQTT broker at {where} cannot be reached ({cause}): check mqtt.host and the network."
