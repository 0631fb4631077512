"""Run one step of scripts/update.sh: `python -m groundwork.update STEP PROJECT WORK [ARGUMENT…]`.

A project runs this from the clone of its template, as it is in the version that the project has.
So nothing may be imported here but Python's own library, what Copier depends on, and what lies in
this folder or stands in groundwork.errors.
"""

import sys

from groundwork.errors import UserError

from .git import GitError
from .steps import STEPS, Update

try:
    step, project, work, *arguments = sys.argv[1:]
    STEPS[step](Update(project, work), *arguments)
except (UserError, GitError, OSError) as error:
    sys.exit(str(error))
