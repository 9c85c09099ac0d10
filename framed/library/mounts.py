"""Which file system holds a path, and what may be expected of it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Changes made on the server, or on the host of a container, raise no inotify event on this side.
_REMOTE = frozenset(
    "9p acfs afs afpfs autofs beegfs ceph cifs coda davfs fakeowner gfs2 glusterfs lustre ncpfs nfs nfs3 nfs4 ocfs2 "
    "orangefs prl_fs smb smb2 smb3 smbfs vboxsf virtiofs vmhgfs".split()
)
# Inode numbers are made up at mount time, so another number says nothing about the file.
_LOOSE_INODES = frozenset("9p cifs exfat fuseblk hfsplus msdos ntfs ntfs3 smb3 smbfs vboxsf vfat virtiofs".split())


@dataclass(frozen=True, slots=True)
class Mount:
    point: bytes
    kind: str  # as the kernel names it: ext4, nfs4, fuse.sshfs

    @property
    def remote(self) -> bool:
        """True where events cannot be relied on and the folder must be polled."""
        return self.kind in _REMOTE or (self.kind.startswith("fuse") and self.kind != "fuseblk")

    @property
    def steady_inodes(self) -> bool:
        """True where a file keeps its inode number over a remount."""
        return self.kind not in _LOOSE_INODES and not self.kind.startswith("fuse")

    @property
    def steady_times(self) -> bool:
        """True where a folder's mtime moves whenever a name in it comes or goes."""
        return self.kind not in _LOOSE_INODES and (not self.kind.startswith("fuse") or self.kind == "fuse.sshfs")


def read_mounts(table: Path = Path("/proc/self/mountinfo")) -> list[Mount]:
    """Every mount of this process in the kernel's order; empty where there is no such table."""
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return []  # not Linux: events are tried, and the periodic scan covers the rest
    mounts = []
    for line in lines:
        before, dash, after = line.partition(b" - ")
        fields = before.split()
        if dash and len(fields) >= 5 and after.split():
            mounts.append(Mount(_unescape(fields[4]), after.split()[0].decode("ascii", "replace").lower()))
    return mounts


def _unescape(point: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), point)


def mount_of(path: bytes, mounts: list[Mount]) -> Mount:
    """The mount that holds `path`: the longest mount point above it, the later of two at one point."""
    real = os.path.realpath(path)
    best = Mount(b"", "unknown")
    for mount in mounts:
        if len(mount.point) >= len(best.point) and within(real, mount.point):
            best = mount
    return best


def mounts_below(path: bytes, mounts: list[Mount]) -> list[Mount]:
    real = os.path.realpath(path)
    return [mount for mount in mounts if mount.point != real and within(mount.point, real)]


def within(path: bytes, folder: bytes) -> bool:
    """True when `path` is `folder` or lies below it; both absolute and normal."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
