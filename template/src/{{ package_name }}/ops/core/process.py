"""Other programs: run to their end, their failure said in one line."""

import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from .errors import UserError


def run(
    *command: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    given: str | None = None,
    inherits: Collection[int] = (),
    name: str = "",
) -> str:
    """Run a program and return what it printed; `given` is its standard input.

    It `inherits` the files of these numbers.

    Raises UserError, which begins with `name` or else the program's, where it cannot be run or
    fails: with the last line that it marked as an error, or else its last line.
    """
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=cwd, env=env, input=given, capture_output=True, text=True, check=False,
            pass_fds=inherits,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        silent = f"it ended with status {done.returncode} and said nothing"
        lines = (done.stderr.strip() or done.stdout.strip() or silent).splitlines()
        marked = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        reason = (marked or lines)[-1].strip().removeprefix("fatal: ").removeprefix("error: ")
        raise UserError(f"{name or Path(command[0]).name}: {reason}")
    return done.stdout
