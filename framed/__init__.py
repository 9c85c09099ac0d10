"""framed: photos and art on every picture frame of a home."""

__version__ = "0.1.0"
