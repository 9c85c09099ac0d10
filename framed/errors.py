"""Every error that framed raises on purpose.

    FramedError                 internal
    ├── BadJson                 bad_json        the payload is not JSON
    ├── BadRequest              bad_request     a field is missing or wrong; `field` names it
    │   └── ConfigError                         config.yaml: file, line and key
    ├── UnknownVerb             unknown_verb
    ├── UnknownFrame            unknown_frame
    ├── UnknownPhoto            unknown_photo
    ├── UnknownPlaylist         unknown_playlist
    ├── UnknownPerson           unknown_person
    ├── Busy                    busy            try again later
    ├── TooLarge                too_large       the payload is over its limit
    ├── Expired                 expired
    ├── NotReady                not_ready       framed is still starting
    ├── Unavailable             unavailable     what is needed is not installed or not built yet
    ├── Cancelled               cancelled
    ├── TimedOut                timeout
    ├── Refused                 refused         not allowed: token, retained command, hostile path
    ├── BadPhoto                                a picture file that cannot be read: parked with this sentence
    └── HostCrashed             internal        a compute host died twice on the same call

The message is a sentence that its reader can act on; it goes to MQTT, HTTP and the terminal as it is, so it names
no secret and nothing internal. The code is the contract's.
"""


class FramedError(Exception):
    """Base of the tree; `code` is the contract's error code, `field` the request field at fault, if one is."""

    code = "internal"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class BadJson(FramedError):
    code = "bad_json"


class BadRequest(FramedError):
    code = "bad_request"


class ConfigError(BadRequest):
    pass


class UnknownVerb(FramedError):
    code = "unknown_verb"


class UnknownFrame(FramedError):
    code = "unknown_frame"


class UnknownPhoto(FramedError):
    code = "unknown_photo"


class UnknownPlaylist(FramedError):
    code = "unknown_playlist"


class UnknownPerson(FramedError):
    code = "unknown_person"


class Busy(FramedError):
    code = "busy"


class TooLarge(FramedError):
    code = "too_large"


class Expired(FramedError):
    code = "expired"


class NotReady(FramedError):
    code = "not_ready"


class Unavailable(FramedError):
    code = "unavailable"


class Cancelled(FramedError):
    code = "cancelled"


class TimedOut(FramedError):
    code = "timeout"


class Refused(FramedError):
    code = "refused"


class BadPhoto(FramedError):
    code = "bad_photo"


class HostCrashed(FramedError):
    code = "internal"
