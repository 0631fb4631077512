"""Run the command line by `python -m groundwork`."""

import sys

from .cli import main

sys.exit(main())
