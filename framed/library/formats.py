"""The picture formats that framed reads, and the file names they go by. Imports no decoder: the daemon asks too."""

from typing import Final, Literal

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF", "BMP", "RAW"]

FORMATS: Final[dict[Format, frozenset[str]]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}),
    "PNG": frozenset({".png", ".apng"}),
    "WEBP": frozenset({".webp"}),
    "GIF": frozenset({".gif"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "HEIF": frozenset({".heic", ".heif", ".hif"}),
    "AVIF": frozenset({".avif"}),
    "BMP": frozenset({".bmp"}),
    "RAW": frozenset({".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw"}),
}
SUFFIXES: Final = frozenset[str]().union(*FORMATS.values())
