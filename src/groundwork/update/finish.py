"""Finish an update that was stopped while it wrote: see writing.py.

`python -m groundwork.update.finish PROJECT RECORD`, with Python's own library and nothing else.
"""

import sys
from pathlib import Path

from .git import GitError
from .repository import Repository
from .writing import finish

try:
    finish(Repository(Path(sys.argv[1])), Path(sys.argv[2]))
except (GitError, OSError) as error:
    sys.exit(str(error))
