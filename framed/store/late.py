"""Which photos still lack a step that is not part of making them showable.

Every question is answered from the index `photo_steps_done` within a window of ids, or by counting along an index: in
a library of 100,000 photos each takes some milliseconds, wherever in it the work has come to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, false, func, not_, or_, select, text, update

from framed.store.photos import SHOWN, PhotoWork, outdate, work_of
from framed.store.tables import photo_steps, photos

WINDOW = 4_000
_UNSEEN = "(photos.hidden or photos.duplicate_of is not null)"
"""Worded as the index `photos_unseen` has it. Another photo is shown in place of these, or none."""

_LESSER = and_(photos.c.burst.is_not(None), photos.c.burst_best.is_(False))


@dataclass(frozen=True)
class Look:
    """What was found, and the id up to which there is no more; `end`: no photo lies beyond it."""

    photos: list[PhotoWork]
    reached: int
    end: bool


def work(
    connection: Connection,
    *,
    step: str,
    version: int,
    needs: Sequence[str],
    attempts: int,
    spares_unseen: bool,
    lesser: bool | None = None,
    limit: int,
    after: int,
) -> Look:
    """The next photos above id `after` that lack `step`, newest version, and have what it needs; by id. `lesser`: only
    shots of a burst that another one stands for, or only the others."""
    first = connection.execute(select(func.min(photos.c.id)).where(photos.c.id > after)).scalar()
    last = connection.execute(select(func.max(photos.c.id))).scalar()
    if first is None or last is None:
        return Look([], after, True)
    until = min(first - 1 + WINDOW, last)
    query = _lacking(lambda column: column.between(first, until), step, version, needs, attempts, spares_unseen, lesser)
    ids = list(connection.execute(query.limit(limit)).scalars())
    reached = ids[-1] if len(ids) == limit else until
    return Look(_in_order(connection, ids), reached, reached >= last)


def work_among(
    connection: Connection,
    ids: Sequence[int],
    *,
    step: str,
    version: int,
    needs: Sequence[str],
    attempts: int,
    spares_unseen: bool,
    lesser: bool | None = None,
) -> list[PhotoWork]:
    """Those of these photos that lack `step` and have what it needs, by id."""
    query = _lacking(lambda column: column.in_(ids), step, version, needs, attempts, spares_unseen, lesser)
    return _in_order(connection, list(connection.execute(query).scalars()))


def _lacking(
    within: Callable[[Column[int]], ColumnElement[bool]],
    step: str,
    version: int,
    needs: Sequence[str],
    attempts: int,
    spares_unseen: bool,
    lesser: bool | None,
) -> Select[int]:
    theirs = within(photo_steps.c.photo_id)
    done = select(photo_steps.c.photo_id).where(theirs, _done(step, version, attempts))
    query = select(photos.c.id).where(within(photos.c.id), photos.c.state.in_(SHOWN), photos.c.id.not_in(done))
    if spares_unseen:
        query = query.where(text(f"not {_UNSEEN}"))
    if lesser is not None:
        query = query.where(_LESSER if lesser else not_(_LESSER))
    for need in needs:
        has = and_(theirs, photo_steps.c.step == need, photo_steps.c.state == "completed")
        query = query.where(photos.c.id.in_(select(photo_steps.c.photo_id).where(has)))
    return query.order_by(photos.c.id)


def _in_order(connection: Connection, ids: Sequence[int]) -> list[PhotoWork]:
    return sorted(work_of(connection, ids), key=lambda photo: photo.id)


def count(connection: Connection, step: str, version: int, attempts: int, *, spares_unseen: bool = False) -> int:
    """How many photos lack the step."""
    done = _done(step, version, attempts)
    theirs = select(photo_steps.c.photo_id).where(done, photo_steps.c.photo_id == photos.c.id)
    shown = select(func.count()).select_from(photos).where(photos.c.state.in_(SHOWN))
    have = select(func.count()).select_from(photo_steps).where(done)
    have_unshown = select(func.count()).select_from(photos).where(photos.c.state.in_(_UNSHOWN), theirs.exists())
    spared = shown.where(text(_UNSEEN), not_(theirs.exists()))
    queries = (shown, have, have_unshown, *((spared,) if spares_unseen else ()))
    numbers = [int(connection.execute(query).scalar_one()) for query in queries]
    return max(0, numbers[0] - numbers[1] + numbers[2] - sum(numbers[3:]))


_UNSHOWN = ("pending", "analysing", "failed", "gone")


_NOT_FAILED = photo_steps.c.state != "failed"


def _done(step: str, version: int, attempts: int) -> ColumnElement[bool]:
    again = and_(photo_steps.c.state == "failed", photo_steps.c.attempts < attempts)
    return and_(photo_steps.c.step == step, photo_steps.c.version >= version, not_(again))


def redo_by_another(
    connection: Connection, *, step: str, backend: str, stale: Sequence[str], reopen: bool, after: int, limit: int
) -> list[int]:
    """The next photos above id `after` whose `step` was done by another backend than this lack the steps `stale`;
    their ids, in order. What was found holds until something newer is. One that this or a later backend failed on is
    left alone: it would be tried at every start.

    `reopen` marks them as unfinished, for the pipeline; late steps find what is out of date by themselves.
    """
    other = photo_steps.c.result["backend"].as_string() != backend
    theirs = (photo_steps.c.step == step, photo_steps.c.photo_id > after, photo_steps.c.version > 0)
    query = select(photo_steps.c.photo_id).where(*theirs, _NOT_FAILED, other).order_by(photo_steps.c.photo_id)
    ids: list[int] = list(connection.execute(query.limit(limit)).scalars())
    _outdate(connection, ids, photo_steps.c.step.in_(list(stale)))
    if reopen:
        opened = update(photos).where(photos.c.id.in_(ids), photos.c.state.in_(SHOWN))
        connection.execute(opened.values(state="pending"))
    return ids


def ask_unread(connection: Connection, *, scripts: Mapping[str, str], looked: int, after: int, limit: int) -> list[int]:
    """The next photos above id `after` that were looked at for text more closely than `looked` pixels, which is where
    something like it was seen, before all of these scripts could be read, or were tried in vain by these weights: they
    lack the step ocr again. Their ids, in order. `scripts` is `ocr_scripts.here()`."""
    read, broken = (func.coalesce(photo_steps.c.result[key].as_string(), "") for key in ("scripts", "broken"))
    close = photo_steps.c.result["looked"].as_integer() > looked
    seen = and_(
        photo_steps.c.step == "ocr", photo_steps.c.version > 0, photo_steps.c.photo_id > after, close, _NOT_FAILED
    )
    tried = {f"{script}@{which}": script for script, which in scripts.items()}
    lacking = [
        and_(read == known, broken == vain)
        for known, vain in connection.execute(select(read, broken).where(seen).distinct())
        if set(scripts) - set(known.split()) - {tried.get(each) for each in vain.split()}
    ]
    query = select(photo_steps.c.photo_id).where(seen, or_(false(), *lacking)).order_by(photo_steps.c.photo_id)
    ids: list[int] = list(connection.execute(query.limit(limit)).scalars())
    _outdate(connection, ids, photo_steps.c.step == "ocr")
    return ids


def ask_anew(
    connection: Connection, *, steps: Sequence[str], uid: str | None, since: float, after: int, limit: int
) -> list[int]:
    """What these steps found before `since` is out of date, of the next photos above id `after`; their ids, in order.
    It is not forgotten: it holds until something newer is found."""
    query = select(photos.c.id).where(photos.c.state != "gone", photos.c.id > after).order_by(photos.c.id).limit(limit)
    if uid is not None:
        query = query.where(photos.c.uid == uid)
    ids: list[int] = list(connection.execute(query).scalars())
    _outdate(connection, ids, and_(photo_steps.c.step.in_(list(steps)), photo_steps.c.at < since))
    return ids


def _outdate(connection: Connection, ids: Sequence[int], which: ColumnElement[bool]) -> None:
    connection.execute(outdate().where(photo_steps.c.photo_id.in_(ids), which))
