"""`python -m framed` is `framed`."""

from framed.cli import main

main()
