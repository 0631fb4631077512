"""All steps of a proof, in their order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from tempfile import mkdtemp

from groundwork.errors import UserError

from . import copy, environment, image, testing, training
from .environment import Environment, find_uv
from .interpreters import this
from .plan import plan
from .process import Ended
from .recipes import Recipe, lines_of_yanked, recipe
from .sandbox import Sandbox, find
from .step import Limits, Step

STEPS = ("environment", "tests", "training", "outputs", "image")


@dataclass(frozen=True)
class Wishes:
    """What a person says of a proof: commands that go before the repository's, steps left out."""

    tests: str = ""
    train: str = ""
    skip: frozenset[str] = frozenset()


def prove(
    folder: Path,
    limits: Limits,
    wishes: Wishes = Wishes(),
    on: Callable[[str], None] = lambda _: None,
) -> Iterator[Step]:
    """Do what a repository promises, and yield each step as it is done.

    `on` is called with the next step. Nothing outside of a temporary folder is written, but by an
    engine that builds the image. Raises UserError where there is no sandbox, or no such folder.
    """
    find()
    scratch = Path(mkdtemp(prefix="groundwork-prove-"))
    try:
        yield from _steps(folder, scratch, limits, wishes, on)
    finally:
        copy.remove(scratch)


def _steps(
    folder: Path, scratch: Path, limits: Limits, wishes: Wishes, on: Callable[[str], None]
) -> Iterator[Step]:
    on("copy the repository")
    source = scratch / "source"
    note = copy.take(folder, source)
    name = folder.resolve().name or "repository"
    todo = plan(source, tests=wishes.tests, train=wishes.train)
    skip = {*wishes.skip, *(["outputs"] if "training" in wishes.skip else [])}
    rest = [step for step in STEPS[1:4] if step not in skip]
    on("make the environment")
    try:
        made = recipe(source, todo.declared)
    except UserError as error:
        yield Step("environment", "not done", str(error))
        yield from (Step(step, "not done", "there is no environment") for step in rest)
    else:
        sandbox = Sandbox(scratch, limits, _visible(made))

        def second() -> tuple[Environment, Ended]:
            on("make the environment in another folder")
            into = f"/srv/second/{name}"
            made_there = environment.make(sandbox, made, source, into, "other", limits.install)
            on("train, the second time")
            return made_there

        into = f"/work/{name}"
        first, ended = environment.make(sandbox, made, source, into, "", limits.install)
        yield _environment(first, made, ended, note)
        if not ended.good:
            yield from (Step(step, "not done", "there is no environment") for step in rest)
        else:
            if "tests" in rest:
                on("run the tests")
                yield testing.test(first, todo.tests, limits)
            if "training" in rest:
                on("train")
                steps = training.train_twice(first, second, todo, limits)
                yield from (step for step in steps if step.name in rest)
    if "image" not in skip and image.has_image(source):
        on("build the image")
        yield image.build(copytree(source, scratch / "context", symlinks=True), scratch, limits)


def _visible(made: Recipe) -> set[Path]:
    uv = find_uv()
    return {this().prefix, *made.visible, *([uv, uv.resolve()] if uv else [])}


def _environment(first: Environment, made: Recipe, ended: Ended, note: str) -> Step:
    if not ended.good:
        why = f"{made.source}: {ended.why()}"
        return Step("environment", "failed", why, ended.seconds, ended.log)
    words = [f"{made.source}: {first.packages()} packages"]
    if made.python:
        words[0] += f", Python {made.python.version}"
    if not made.locked:
        words.append("no exact versions, so another day may bring other ones")
    words += [*lines_of_yanked(ended.log), *filter(None, [note])]
    return Step("environment", "passed", "; ".join(words), ended.seconds, ended.log)
