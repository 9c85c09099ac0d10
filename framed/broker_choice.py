"""Which MQTT broker is used, one of the owner's or framed's own, and how the daemon signs in there."""

from pathlib import Path

from framed.config import Mqtt
from framed.mqtt.broker import ManagedBroker
from framed.mqtt.endpoint import Endpoint
from framed.mqtt.settings import MqttSettings


def own_broker(mqtt: Mqtt, folder: Path) -> ManagedBroker | None:
    """To be started by the caller; None where the configuration names a broker of the owner's."""
    if mqtt.host is not None:
        return None
    kind = None if mqtt.broker == "auto" else mqtt.broker
    return ManagedBroker(folder, host=mqtt.bind, port=mqtt.port, base=mqtt.base_topic, kind=kind)


def sign_in(mqtt: Mqtt, instance: str, own: Endpoint | None) -> MqttSettings:
    """`own` is where framed's own broker listens, if that is the one."""
    client_id = mqtt.client_id or f"framed-{instance}"
    if own is not None:
        limits = mqtt.model_dump(include={"protocol", "keepalive", "max_json_bytes", "max_binary_bytes"})
        return own.settings(client_id=client_id, **limits)
    settings = mqtt.model_dump(exclude={"base_topic", "bind", "broker"})
    return MqttSettings.model_validate(settings | {"client_id": client_id})
