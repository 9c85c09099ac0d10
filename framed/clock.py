"""Time for what lasts a while and survives a restart: it goes on evenly when the system's clock is set."""

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def _since_boot() -> float:
    """Counts through sleep where the system can tell."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)


_EPOCH = time.time() - _since_boot()


def steady() -> float:
    """Seconds since 1970 as the system's clock stood when framed started. What an earlier run stored under another
    clock may lie far ahead; who compares must take that for past."""
    return _EPOCH + _since_boot()
