"""`python -m osmia`: the same as the command `osmia`."""

from osmia.cli import main

main()
