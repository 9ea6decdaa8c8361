"""`python -m catena.cli`: the same as the command `catena`."""

from catena.cli import main

main()
