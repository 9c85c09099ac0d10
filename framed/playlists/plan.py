"""The query plan: what a sentence asks for, as data that a person or a language model can also write and edit."""

from datetime import date, time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from framed.playlists.feasts import Feast, Hemisphere, Season, feast_days, month_end

TEXT_LIMIT = 1000
OPEN_START = date.min
OPEN_END = date.max

TimeOfDay = Literal["morning", "midday", "afternoon", "evening", "night"]
Kind = Literal["photo", "screenshot", "document", "drawing"]
Orientation = Literal["landscape", "portrait", "square", "panorama"]
Quality = Literal["any", "good", "best"]
Each = Literal["year", "month", "day"]
Sort = Literal["relevance", "newest", "oldest", "best", "random"]
FollowUp = Literal[
    "only", "without", "more", "next", "previous", "pause", "resume", "not_this", "hide", "favourite", "about"
]
Steer = Literal[
    "on", "off", "brighter", "dimmer", "brightness", "faster", "slower", "undo", "refresh", "identify", "whole",
    "fill", "show_here", "list_here", "last_list", "usual", "restart", "help", "play", "save", "add", "playing",
    "playlists", "frames", "leave", "later", "delete", "delete_list", "edit", "send", "other",
]  # fmt: skip

# A sentence of TEXT_LIMIT characters cannot hold more words than this.
_MOST = 500
Text = Annotated[str, Field(max_length=TEXT_LIMIT)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AskSettings(_Data):
    timezone: str = "UTC"
    hemisphere: Hemisphere = "north"
    week_starts: Literal["monday", "sunday"] = "monday"
    date_order: Literal["dmy", "mdy"] = "dmy"
    max_count: int = Field(500, ge=1)

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"“{value}” is not a time zone; write one like Europe/Berlin") from error
        return value


class DateRange(_Data):
    """Local dates, both inclusive. `date.min` and `date.max` stand for an open start and end."""

    start: date = OPEN_START
    end: date = OPEN_END
    said: Text = ""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"the range ends ({self.end}) before it starts ({self.start})")
        return self


class ClockRange(_Data):
    """From one time of the clock to another, by local time, the end exclusive; one that runs past midnight ends before
    it starts, and 00:00 as the end is the end of the day."""

    start: time
    end: time
    said: Text = ""

    @property
    def minutes(self) -> tuple[int, int]:
        """Since midnight, the end up to 24 * 60."""
        return self.start.hour * 60 + self.start.minute, (self.end.hour * 60 + self.end.minute) or 24 * 60


class Yearly(_Data):
    """A stretch of days that comes back every year, both ends inclusive; it may cross New Year.

    A movable feast is named in `feast`, and the days are then the widest window it can fall into: use `days`.
    """

    month_from: int = Field(ge=1, le=12)
    day_from: int = Field(ge=1, le=31)
    month_to: int = Field(ge=1, le=12)
    day_to: int = Field(ge=1, le=31)
    feast: Feast | None = None
    said: Text = ""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for month, day in ((self.month_from, self.day_from), (self.month_to, self.day_to)):
            if day > month_end(2000, month).day:
                raise ValueError(f"month {month} has no day {day}")
        return self

    @property
    def crosses_new_year(self) -> bool:
        return (self.month_to, self.day_to) < (self.month_from, self.day_from)

    def days(self, year: int) -> tuple[date, date] | None:
        """First and last day of the occurrence that starts in `year`; None for 29 February in a common year."""
        if self.feast is not None:
            return feast_days(self.feast, year)
        until = min(year + self.crosses_new_year, date.max.year)
        start_limit, end_limit = month_end(year, self.month_from), month_end(until, self.month_to)
        if self.day_from > start_limit.day:  # 29 February in a common year
            if (self.month_from, self.day_from) == (self.month_to, self.day_to):
                return None
            start = date(year, 3, 1)
        else:
            start = date(year, self.month_from, self.day_from)
        return start, date(until, self.month_to, min(self.day_to, end_limit.day))


class Span(_Data):
    """Which characters of `text` (end exclusive) became which field of the plan."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: Text
    slot: str


class QueryPlan(_Data):
    """Everything a playlist is built from. Lists named `_any` are alternatives, `_all` all hold, `_none` are excluded.

    `dates` are alternatives among themselves; `yearly` and `seasons` are together one list of alternatives, and so are
    `times_of_day` and `clock`; a photo must satisfy each of these lists. `labels` gives the display name of every id
    used, under "people:<id>", "places:<id>", "folders:<id>", "frames:<id>", so that the plan can be read without the
    library.
    """

    v: int = 1
    text: Text = ""

    people_all: list[str] = Field(default=[], max_length=_MOST)
    people_any: list[str] = Field(default=[], max_length=_MOST)
    people_none: list[str] = Field(default=[], max_length=_MOST)
    only_people: bool = False
    some_people: bool | None = None
    people_min: int | None = Field(None, ge=1, le=1000)  # how many people are in the picture, known or not
    people_max: int | None = Field(None, ge=1, le=1000)
    unknown_names: list[Text] = Field(default=[], max_length=_MOST)

    places_any: list[str] = Field(default=[], max_length=5000)  # one name may be many places: Springfield
    places_none: list[str] = Field(default=[], max_length=5000)
    unknown_places: list[Text] = Field(default=[], max_length=_MOST)
    folders_any: list[str] = Field(default=[], max_length=_MOST)
    folders_none: list[str] = Field(default=[], max_length=_MOST)

    dates: list[DateRange] = Field(default=[], max_length=_MOST)
    dates_none: list[DateRange] = Field(default=[], max_length=_MOST)
    yearly: list[Yearly] = Field(default=[], max_length=_MOST)
    yearly_none: list[Yearly] = Field(default=[], max_length=_MOST)
    seasons: list[Season] = Field(default=[], max_length=4)
    times_of_day: list[TimeOfDay] = Field(default=[], max_length=5)
    clock: list[ClockRange] = Field(default=[], max_length=_MOST)
    light: list[TimeOfDay] = Field(default=[], max_length=5)  # when such light is: a sunset that nobody sees is out
    weekdays: list[Annotated[int, Field(ge=0, le=6)]] = Field(default=[], max_length=7)  # Monday is 0

    kinds: list[Kind] = Field(default=[], max_length=4)
    kinds_none: list[Kind] = Field(default=[], max_length=4)
    orientation: Orientation | None = None
    favourites: bool | None = None
    quality: Quality = "any"
    colours: list[Text] = Field(default=[], max_length=_MOST)
    monochrome: bool | None = None
    new: bool = False

    must_text: list[Text] = Field(default=[], max_length=_MOST)
    semantic: Text = ""
    semantic_none: list[Text] = Field(default=[], max_length=_MOST)
    tags_any: list[Text] = Field(default=[], max_length=_MOST)
    tags_none: list[Text] = Field(default=[], max_length=_MOST)

    photos_none: list[str] = Field(default=[], max_length=5000)  # taken out of this list by a person
    by_hand: bool = False  # a person has put it in order: new photos join, and nothing else moves

    sort: Sort = "relevance"
    count: int | None = Field(None, ge=1, le=100_000)  # of each `each`, where that is said
    each: Each | None = None
    frame: str | None = None
    unknown_frame: Text | None = None
    all_frames: bool = False
    interval_s: int | None = Field(None, ge=1, le=31 * 86_400)
    named: Text | None = None
    follow_up: FollowUp | None = None
    steer: Steer | None = None  # what is asked of a frame or its playlist, instead of photos
    steer_to: Text | None = None  # a playlist's name, a brightness in percent
    question: bool = False  # "how many …": answered, and nothing is shown
    nothing: bool = False  # the sentence names nothing to show

    spans: list[Span] = []
    problems: list[str] = []
    labels: dict[str, str] = {}
    read_as: dict[str, str] = {}  # a misspelt name and the one of the library that it was taken for
