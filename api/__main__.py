"""``python -m twindex.api``: the command line."""

from twindex.api.cli import main

main()
