"""One thing that `framed doctor` has looked at, and how to mend it."""

from typing import Literal, NamedTuple

State = Literal["good", "note", "wrong"]


class Finding(NamedTuple):
    """`wrong`: framed, or a part of it, does not work. `note`: it works, and could do better."""

    what: str
    state: State
    said: str
    mend: str = ""
