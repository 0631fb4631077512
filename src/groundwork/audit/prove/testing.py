"""A repository's own tests, without network, in a copy."""

import re
from dataclasses import replace

from .environment import Environment
from .plan import Command
from .process import Ended
from .step import Limits, Step

_NAME = "tests"


def test(environment: Environment, command: Command, limits: Limits) -> Step:
    """Run the tests. That none ran is not that they passed."""
    if not command.shell:
        return not_done(command.source)
    words = str(command)
    if command.first:
        ended = environment.install(command.first, limits.install)
        if not ended.good:
            why = f"{command.first}: {ended.why()}"
            return Step(_NAME, "failed", why, ended.seconds, ended.log)
    _, place = environment.fresh()
    ended = environment.run(command.shell, place, limits.tests)
    step = Step(_NAME, "failed", f"{words}: {ended.why()}", ended.seconds, ended.log)
    if not ended.good:
        return step
    said = summary(ended)
    if none_ran(said):
        return replace(step, state="not done", message=f"{words}: no test ran: {said}")
    return replace(step, state="passed", message=f"{words}: {said}" if said else words)


def not_done(why: str) -> Step:
    """Return the step where there are no tests to run."""
    return Step(_NAME, "not done", why)


def summary(ended: Ended) -> str:
    """Return what pytest or unittest says of all tests; nothing if neither ran."""
    found = re.findall(
        r"^(?:=+ )?((?:\d+ \w+, )*\d+ \w+(?:, \d+ \w+)* in [\d.]+s|no tests ran[^=]*?)(?: =+)?$"
        r"|^(Ran \d+ tests?) in .*\n\n(OK.*|NO TESTS.*)?",
        ended.log,
        re.MULTILINE,
    )
    return " ".join(filter(None, found[-1])) if found else ""


def none_ran(said: str) -> bool:
    """Tell whether a summary says that no test has passed."""
    if said.startswith("Ran "):
        ran, skipped = (re.search(words, said) for words in (r"Ran (\d+)", r"skipped=(\d+)"))
        return bool(ran) and int(ran[1]) == int(skipped[1] if skipped else 0)  # type: ignore[index]
    return bool(said) and not re.search(r"\d+ (passed|xfailed)", said)
