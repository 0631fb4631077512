"""Run the command line by `python -m groundwork`."""

import sys

from .cli.main import main

sys.exit(main())
