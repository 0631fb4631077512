"""`python -m <package>` is the project's command line."""

from .ops.cli.commands import main

main()
