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
    │   └── CannotStore                         framed's own disk is full or may not be written; goes on by itself
    ├── TooLarge                too_large       the payload is over its limit
    ├── Expired                 expired
    ├── NotReady                not_ready       framed is still starting
    ├── Unavailable             unavailable     what is needed is not installed or not built yet
    ├── Cancelled               cancelled
    ├── TimedOut                timeout
    ├── Refused                 refused         not allowed: token, hostile path
    ├── BadPhoto                                a picture file that cannot be read: parked with this sentence
    │   ├── PhotoForbidden                      its permissions keep framed out: read once they let it in
    │   └── PhotoChanging                       not settled: being written, moved away, its disk silent; read later
    └── HostCrashed             internal        a compute host died twice on the same call

The message is a sentence that its reader can act on; it goes to MQTT, HTTP and the terminal as it is, so it names
no secret and nothing internal. The code is the contract's.
"""

import errno
import os


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


class CannotStore(Busy):
    @classmethod
    def because(cls, error: OSError) -> "CannotStore":
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return cls("The disk that holds framed's data is full; free some space and it goes on by itself.")
        reason = os.strerror(error.errno or errno.EIO)
        return cls(f"The folder of framed's data cannot be written ({reason}); mend that and it goes on by itself.")


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


class PhotoForbidden(BadPhoto):
    pass


class PhotoChanging(BadPhoto):
    pass


class HostCrashed(FramedError):
    code = "internal"
