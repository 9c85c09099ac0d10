"""One pass over one root: what lies on the disk against what is stored, and the difference written down.

A file is told by its place, size, mtime and inode. What is new or changed is to be read; what moved keeps its row, so
its photo and every result; what vanished leaves only at the end of a pass that went well and found nothing amiss.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from framed.library.lane import Lane, RootUnfit
from framed.library.mounts import within
from framed.library.walk import GROUP, Listing, Seen, Walker, display, int64, join
from framed.store import files as stored
from framed.store.database import Database
from framed.store.files import FileValues, FolderChange, Gone, PlacedFile, StoredFile, StoredFolder

log = structlog.get_logger(__name__)

MASS = 100
"""As many photos at once may vanish without a second look."""

_CONFIRM = "`framed rescan --confirm`, or library/rescan with confirm: true"
_SENTENCES = 20


@dataclass
class ScanReport:
    """`files` were seen, `gone` left the store; `skipped` are links, excluded names and folders left out."""

    files: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    gone: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: "ScanReport") -> None:
        for name in ("files", "new", "changed", "moved", "gone", "skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems.extend(other.problems)


@dataclass(frozen=True)
class Conditions:
    """How far the root's file system can be believed, and what the person running the scan allows."""

    steady_inodes: bool = True
    remote: bool = False
    settle_s: float = 2.0
    whole: bool = True  # the pass lists every folder of the root
    held: bool = False  # an earlier pass missed so much that it removed nothing
    held_long_enough: bool = False  # and that is long enough ago
    confirmed: bool = False  # a person said that the files were deleted on purpose


class Pass:
    """Use once: `full`, `quick` or `folders`, then `remove_vanished`."""

    def __init__(
        self,
        *,
        database: Database,
        walker: Walker,
        lane: Lane,
        root_id: int,
        device: int | None,
        conditions: Conditions,
        configured: frozenset[bytes],
        clock: Callable[[], float],
        say_gone: Callable[[list[Gone]], None],
    ) -> None:
        self.report = ScanReport()
        self.restless: set[bytes] = set()
        self.unsettled = False
        self.held: str | None = None  # why nothing was removed
        self.device = device
        self.other_disk = False
        self._database = database
        self._walker = walker
        self._lane = lane
        self._root_id = root_id
        self._known_device = device
        self._conditions = conditions
        self._configured = configured
        self._clock = clock
        self._say_gone = say_gone
        self._name = display(walker.top)
        self._steady = conditions.steady_inodes
        self._visited: set[int] = set()
        self._vanished: dict[int, int] = {}
        self._vanished_folders: dict[int, bytes] = {}
        self._failed: list[bytes] = []
        self._emptied: dict[bytes, int] = {}
        self._troubles = 0
        self._looked_at = 0.0

    @property
    def unreadable(self) -> set[bytes]:
        """Folders that could not be listed."""
        return set(self._failed)

    # -- the three ways over a root ------------------------------------------------------------------------------

    async def begin(self) -> None:
        """RootUnfit: the root is missing, unreadable or, where it had files, empty."""
        device = await self._probe()
        self.other_disk = self._known_device not in (None, device)
        if self.other_disk:
            self._steady = False  # a restored backup: the files are the same, their numbers are not
        self.device = device

    async def full(self, start: bytes = b"") -> None:
        """Lists `start` and everything below."""
        await self._walk([start])
        for folder_id, path in await self._database.read(lambda c: stored.folders_under(c, self._root_id, start)):
            if folder_id not in self._visited:
                self._vanished_folders[folder_id] = path

    async def quick(self) -> None:
        """Lists the folders whose mtime moved, and those below them that are new."""
        if not await self._stored_after(0):
            await self._walk([b""])
        last_id = 0
        while chunk := await self._stored_after(last_id):
            last_id = chunk[-1].id
            changed, missing = await self._lane.run(partial(self._stat_folders, chunk))
            self._vanished_folders.update(missing)
            await self.folders(changed)

    async def folders(self, paths: Collection[bytes]) -> None:
        """Lists these folders without descending, except into folders that are new."""
        waiting, fresh = list(paths), []
        while waiting:
            listings = await self._list(waiting[:GROUP])
            del waiting[: len(listings)]
            for listing in listings:
                if listing.problem is None:
                    fresh.extend(await self._compare_subfolders(listing))
            await self._compare(listings)
        await self._walk(fresh)

    async def _stored_after(self, last_id: int) -> list[StoredFolder]:
        return await self._database.read(lambda c: stored.folders_after(c, self._root_id, last_id))

    async def _walk(self, stack: list[bytes]) -> None:
        stack = list(reversed(stack))
        while stack:
            listings = await self._list(stack[: -GROUP - 1 : -1])
            del stack[len(stack) - len(listings) :]
            for listing in reversed(listings):
                stack.extend(join(listing.folder, name) for name in reversed(listing.folders))
            await self._compare(listings)

    async def _list(self, folders: list[bytes]) -> list[Listing]:
        self._looked_at = self._clock()
        return await self._lane.run(partial(self._walker.some, folders))

    async def _compare_subfolders(self, listing: Listing) -> list[bytes]:
        """Notes the stored folders below that are not listed any more; gives the listed ones that are not stored."""
        below = await self._database.read(lambda c: stored.folders_under(c, self._root_id, listing.folder))
        cut = len(listing.folder) + 1 if listing.folder else 0
        present, known = set(listing.folders), set()
        for folder_id, path in below:
            name = path[cut:].partition(b"/")[0]
            if name in present:
                known.add(name)
            else:
                self._vanished_folders[folder_id] = path
        return [join(listing.folder, name) for name in listing.folders if name not in known]

    # -- comparing -----------------------------------------------------------------------------------------------

    async def _compare(self, listings: list[Listing]) -> None:
        good = []
        for listing in listings:
            self.report.files += len(listing.files)
            self.report.skipped += listing.skipped
            if listing.problem is None:
                good.append(listing)
                self._trouble_with_files(listing)
            elif listing.folder and isinstance(listing.problem, FileNotFoundError | NotADirectoryError):
                pass  # went since its parent was listed: it is not visited, so it counts as vanished
            else:
                self._failed.append(listing.folder)
                reason = listing.problem.strerror or str(listing.problem)
                self._trouble(f"{self._show(listing.folder)} cannot be read ({reason}); its photos are kept.")
        if not good:
            return

        def look(connection: Connection) -> tuple[dict[bytes, StoredFolder], dict[int, dict[bytes, StoredFile]]]:
            known = stored.folders_at(connection, self._root_id, [listing.folder for listing in good])
            return known, stored.files_in(connection, [folder.id for folder in known.values()])

        known, rows = await self._database.read(look)
        for listing in good:
            if listing.bare and listing.folder in known:
                self._emptied[listing.folder] = known[listing.folder].id
        drafts = [_Draft(listing, known.get(listing.folder), rows) for listing in good]
        for draft in drafts:
            draft.compare(self._steady)
        if any(draft.appeared for draft in drafts):
            await self._find_moves(drafts)
        await self._write(drafts)

    async def _find_moves(self, drafts: list["_Draft"]) -> None:
        inodes = {seen.inode for draft in drafts for seen in draft.appeared.values()}
        places = await self._database.read(lambda c: stored.files_at_inodes(c, inodes))
        matches = [
            (draft, name, seen, place)
            for draft in drafts
            for name, seen in draft.appeared.items()
            for place in places.get(seen.inode, ())
            if (place.size, place.mtime_ns) == (seen.size, seen.mtime_ns) and self._same_disk(place, seen)
        ]
        if not matches:
            return
        left = await self._lane.run(lambda: {place.id for *_, place in matches if self._has_left(place)})
        matches = [match for match in matches if match[3].id in left]
        settled = await self._adopt_folders([draft for draft in drafts if draft.stored is None], matches)
        taken: set[int] = set()
        for draft, name, seen, place in matches:
            if name in draft.appeared and place.id not in taken | settled:
                taken.add(place.id)
                draft.move(name, seen, place)
                self._vanished.pop(place.id, None)
        for draft in drafts:
            draft.let_go(taken)

    def _same_disk(self, place: PlacedFile, seen: Seen) -> bool:
        return place.root_id == self._root_id or place.device == seen.device

    def _has_left(self, place: PlacedFile) -> bool:
        """Blocks. Whether a stored file is no longer at its place; a hard link is, and stays another file."""
        if place.root not in self._configured:
            return True
        path = os.path.join(place.root, place.folder, place.name)
        try:
            status = os.stat(path) if self._walker.follows else os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return int64(status.st_ino) != place.inode

    async def _adopt_folders(self, drafts: list["_Draft"], matches: list["_Match"]) -> set[int]:
        """Where the files of a new folder lay together in one that is no more, the stored folder takes its place.
        Gives the files that have their place by that."""
        renames: list[tuple[_Draft, PlacedFile]] = []
        claimed: set[int] = set()
        for draft in drafts:
            places = [place for other, name, _, place in matches if other is draft and place.name == name]
            common = Counter(place.folder_id for place in places if place.folder_id not in claimed).most_common(1)
            if common:
                claimed.add(common[0][0])
                renames.append((draft, next(place for place in places if place.folder_id == common[0][0])))
        renames = await self._lane.run(lambda: [rename for rename in renames if self._folder_left(rename[1])])
        if not renames:
            return set()
        rows = [(place.folder_id, self._root_id, draft.listing.folder) for draft, place in renames]
        await self._database.write(lambda c: stored.rename_folders(c, rows))
        contents = await self._database.read(lambda c: stored.files_in(c, [row[0] for row in rows]))
        settled: set[int] = set()
        for draft, place in renames:
            self._vanished_folders.pop(place.folder_id, None)
            inside = {row.id for row in contents[place.folder_id].values()}
            for row_id in inside:
                self._vanished.pop(row_id, None)
            folder = StoredFolder(place.folder_id, draft.listing.folder, None)
            draft.adopt(folder, contents, self._steady)
            self.report.moved += draft.unchanged
            settled |= inside - draft.missing
        return settled

    def _folder_left(self, place: PlacedFile) -> bool:
        if place.root not in self._configured:
            return True
        return not os.path.lexists(os.path.join(place.root, place.folder)) and os.path.isdir(place.root)

    # -- writing -------------------------------------------------------------------------------------------------

    async def _write(self, drafts: list["_Draft"]) -> None:
        now = self._looked_at
        freed = [row for draft in drafts for row in draft.leaving]
        batch: list[FolderChange] = []
        rows = 0
        for draft in drafts:
            if draft.stored is not None:
                self._visited.add(draft.stored.id)
            self._tally(draft)
            for change in self._changes(draft, now):
                batch.append(change)
                rows += 1 + len(change.added) + len(change.changed) + len(change.moved)
                if rows >= stored.CHUNK:
                    await self._apply(batch, freed)
                    batch, rows, freed = [], 0, []
        await self._apply(batch, freed)

    async def _apply(self, batch: list[FolderChange], freed: list[int]) -> None:
        if batch:
            self._visited |= await self._database.write(partial(stored.apply, changes=batch, freed=freed))

    def _tally(self, draft: "_Draft") -> None:
        self.report.new += len(draft.added)
        self.report.changed += len(draft.changed)
        self.report.moved += len(draft.moved)
        if draft.stored is not None:  # a folder just found misses nothing
            self._vanished.update(dict.fromkeys([*draft.missing, *draft.displaced], draft.stored.id))

    def _changes(self, draft: "_Draft", now: float) -> Iterable[FolderChange]:
        """The draft as writes of CHUNK rows; the folder's own mtime comes with the last, so that a scan cut short
        looks at it again."""
        mtime_ns = self._mtime_to_keep(draft.listing, now)
        unchanged = draft.stored is not None and not draft.altered and draft.stored.mtime_ns == mtime_ns
        if unchanged:
            return
        folder = draft.listing.folder
        folder_id = draft.stored.id if draft.stored is not None else None
        change = FolderChange(self._root_id, folder, folder_id, None)
        change.moved = [(row, self._values(n, s, now if again else None), again) for row, n, s, again in draft.moved]
        change.touched = [(row, seen.inode) for row, _, seen in draft.touched]
        change.changed = [(row, self._values(name, seen, now)) for row, name, seen in draft.changed]
        for names in stored.chunks(list(draft.added)):
            change.added = [self._values(name, draft.added[name], now) for name in names]
            if len(change.added) == stored.CHUNK:
                yield change
                change = FolderChange(self._root_id, folder, folder_id, None)
        change.mtime_ns = mtime_ns
        yield change

    def _values(self, name: bytes, seen: Seen, now: float | None) -> FileValues:
        retry_at = None
        if now is not None and not self._settled(seen, now):
            self.unsettled = True
            retry_at = now + self._conditions.settle_s
        return FileValues(name, seen.size, seen.mtime_ns, seen.inode, seen.sidecar_ns, retry_at)

    def _settled(self, seen: Seen, now: float) -> bool:
        """Whether one look will do. A server's clock is not ours, and a time ahead of ours says nothing: then the file
        has to be the same at a second look."""
        newest = max(seen.mtime_ns, seen.ctime_ns, seen.sidecar_ns or 0)
        return not self._conditions.remote and now - newest / 1e9 >= self._conditions.settle_s

    def _mtime_to_keep(self, listing: Listing, now: float) -> int | None:
        """None where a name could still come within the clock tick that the folder's mtime shows."""
        age = now - listing.mtime_ns / 1e9
        if age >= self._conditions.settle_s:
            return listing.mtime_ns
        if age >= 0:
            self.restless.add(listing.folder)
        return None

    # -- removing ------------------------------------------------------------------------------------------------

    async def remove_vanished(self) -> None:
        """Removes what this pass missed, unless that looks like a disk that went rather than like photos deleted."""
        lost = {id: path for id, path in self._vanished_folders.items() if not self._unsure(path)}
        vanished = self._vanished | await self._database.read(partial(stored.ids_in_folders, folder_ids=lost))
        if not vanished and not lost:
            return
        conditions = self._conditions
        if not conditions.whole and not conditions.confirmed and (conditions.held or self.other_disk):
            return  # a part of the root cannot tell; the next full pass does
        vanished = await self._removable(vanished, lost)
        waiting: set[int] = set()
        now = self._clock()
        wait = not (conditions.confirmed or conditions.held_long_enough)  # long enough for any copy to be read
        for chunk in stored.chunks(list(vanished)):
            part = {file: vanished[file] for file in chunk}
            removed = await self._database.write(partial(stored.remove, vanished=part, now=now, wait=wait))
            self.report.gone += removed.files
            self._say_gone(removed.gone)
            waiting.update(part[file] for file in removed.waiting)
        if waiting:
            await self._database.write(partial(stored.look_again, folder_ids=waiting))
        if lost:
            await self._database.write(partial(stored.remove_empty_folders, folder_ids=lost))

    async def _removable(self, vanished: dict[int, int], lost: dict[int, bytes]) -> dict[int, int]:
        """What of `vanished` may go now; the rest stays, with a sentence."""
        if await self._probe() != self.device:  # unmounted while we looked
            raise RootUnfit(f"The disk under {self._name} changed during the scan; nothing was removed.")
        conditions, missing = self._conditions, len(vanished)
        if conditions.confirmed or not missing:
            return vanished
        before = await self._count() - self.report.new
        share = f"{missing:,} of the {before:,} files under {self._name} are missing"
        if self.other_disk and (before - missing) * 2 < before:
            self.device = self._known_device
            self._hold(
                f"{share}, and it lies on another disk than before; nothing was removed. Mount the disk that was there "
                f"before; if they were deleted on purpose: {_CONFIRM}."
            )
        elif missing > MASS and missing * 2 > before and not conditions.held_long_enough:
            self._hold(f"{share}; they are removed when a later full scan misses them too, or at once by: {_CONFIRM}.")
        else:
            return await self._keep_emptied(vanished, lost)
        lost.clear()
        return {}

    async def _keep_emptied(self, vanished: dict[int, int], lost: dict[int, bytes]) -> dict[int, int]:
        """A folder that stands there empty and held many files may be a disk that is not mounted."""
        if self._conditions.held_long_enough or len(vanished) <= MASS:
            return vanished
        for folder, folder_id in self._emptied.items():
            below = {folder_id} | {id for id, path in lost.items() if within(path, folder)}
            inside = [file for file, place in vanished.items() if place in below]
            if len(inside) > MASS:
                self._hold(
                    f"{self._show(folder)} is empty, and {len(inside):,} files were there; they are removed when a "
                    f"later full scan misses them too, or at once by: {_CONFIRM}."
                )
                vanished = {file: place for file, place in vanished.items() if place not in below}
                for id in below:
                    lost.pop(id, None)
        return vanished

    def _unsure(self, path: bytes) -> bool:
        """Whether the folder lies below one that could not be read."""
        return any(not failed or within(path, failed) for failed in self._failed)

    # -- the root itself -----------------------------------------------------------------------------------------

    async def _probe(self) -> int:
        """The device the root lies on; RootUnfit where it cannot be scanned."""
        try:
            device, holds = await self._lane.run(self._walker.probe)
        except (FileNotFoundError, NotADirectoryError) as error:
            kept = await self._kept()
            raise RootUnfit(f"{self._name} is not there{kept}. Mount its disk or correct library.roots.") from error
        except OSError as error:
            kept, reason = await self._kept(), error.strerror or str(error)
            raise RootUnfit(f"{self._name} cannot be read ({reason}){kept}. Let framed read it.") from error
        if not holds and not self._conditions.confirmed and (count := await self._count()):
            raise RootUnfit(
                f"{self._name} is empty, and {count:,} files were there; nothing was removed. Mount its disk; if they "
                f"were deleted on purpose: {_CONFIRM}."
            )
        return device

    async def _count(self) -> int:
        return await self._database.read(partial(stored.files_under_root, root_id=self._root_id))

    async def _kept(self) -> str:
        count = await self._count()
        return f"; its {count:,} files are kept" if count else ""

    def _stat_folders(self, chunk: Sequence[StoredFolder]) -> tuple[list[bytes], dict[int, bytes]]:
        """Blocks. The folders to list, and those that are gone (by id the path)."""
        changed: list[bytes] = []
        missing: dict[int, bytes] = {}
        for folder in chunk:
            try:
                mtime_ns = int64(os.stat(self._walker.path(folder.path)).st_mtime_ns)
            except (FileNotFoundError, NotADirectoryError):
                missing[folder.id] = folder.path
            except OSError:
                changed.append(folder.path)  # listing it says what is wrong
            else:
                if mtime_ns != folder.mtime_ns:
                    changed.append(folder.path)
        return changed, missing

    # -- sentences -----------------------------------------------------------------------------------------------

    def _show(self, folder: bytes) -> str:
        return display(self._walker.path(folder))

    def _say(self, sentence: str) -> None:
        self.report.problems.append(sentence)

    def _hold(self, sentence: str) -> None:
        self.held = sentence
        self._say(sentence)

    def _trouble_with_files(self, listing: Listing) -> None:
        if listing.unknown:
            self._trouble(f"{len(listing.unknown)} files in {self._show(listing.folder)} cannot be looked at.")

    def _trouble(self, sentence: str) -> None:
        self._troubles += 1
        if self._troubles <= _SENTENCES:
            self._say(sentence)
        else:
            log.warning("a folder could not be scanned", problem=sentence)

    def close(self) -> ScanReport:
        if self._troubles > _SENTENCES:
            self._say(f"{self._troubles - _SENTENCES} more folders under {self._name} cannot be read; see the log.")
        return self.report


class _Draft:
    """What changed in one folder, until it is written."""

    def __init__(self, listing: Listing, folder: StoredFolder | None, rows: dict[int, dict[bytes, StoredFile]]) -> None:
        self.listing = listing
        self.stored = folder
        self._rows = rows.get(folder.id, {}) if folder is not None else {}
        self.added: dict[bytes, Seen] = {}
        self.changed: list[tuple[int, bytes, Seen]] = []
        self.moved: list[tuple[int, bytes, Seen, bool]] = []
        self.touched: list[tuple[int, bytes, Seen]] = []
        self.missing: set[int] = set()
        self.displaced: list[int] = []  # their name was taken by a file that moved here
        self.appeared: dict[bytes, Seen] = {}
        self.unchanged = 0

    def compare(self, steady_inodes: bool) -> None:
        files, rows = self.listing.files, self._rows
        for name, seen in files.items():
            row = rows.get(name)
            if row is None:
                self.added[name] = self.appeared[name] = seen
                continue
            if (row.size, row.mtime_ns) != (seen.size, seen.mtime_ns) or (steady_inodes and row.inode != seen.inode):
                self.appeared[name] = seen
                self.changed.append((row.id, name, seen))
            elif row.sidecar_ns != seen.sidecar_ns:
                self.changed.append((row.id, name, seen))
            else:
                self.unchanged += 1
                if row.inode != seen.inode:
                    self.touched.append((row.id, name, seen))
        unknown = self.listing.unknown
        self.missing = {row.id for name, row in rows.items() if name not in files and name not in unknown}

    def adopt(self, folder: StoredFolder, contents: dict[int, dict[bytes, StoredFile]], steady_inodes: bool) -> None:
        """Starts again with the rows of a stored folder that was renamed to this one."""
        self.__init__(self.listing, folder, contents)  # type: ignore[misc]
        self.compare(steady_inodes)

    def move(self, name: bytes, seen: Seen, place: PlacedFile) -> None:
        """The row of `place` takes this name; the row that had it, if one had, makes way."""
        del self.appeared[name]
        if self.added.pop(name, None) is None:
            self.displaced.extend(row for row, changed, _ in self.changed if changed == name)
            self.changed = [change for change in self.changed if change[1] != name]
        self.moved.append((place.id, name, seen, place.sidecar_ns != seen.sidecar_ns))

    def let_go(self, taken: set[int]) -> None:
        """Rows that moved elsewhere: what now lies under their name here is a new file."""
        self.missing -= taken
        self.displaced = [row for row in self.displaced if row not in taken]
        self.added.update({name: seen for row, name, seen in [*self.changed, *self.touched] if row in taken})
        self.changed = [change for change in self.changed if change[0] not in taken]
        self.touched = [touch for touch in self.touched if touch[0] not in taken]

    @property
    def leaving(self) -> list[int]:
        return [*self.displaced, *(row for row, *_ in self.moved)]

    @property
    def altered(self) -> bool:
        return bool(self.added or self.changed or self.moved or self.touched)


_Match = tuple[_Draft, bytes, Seen, PlacedFile]
