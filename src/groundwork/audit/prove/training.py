"""Training in two places, and whether it wrote the same: other folder, TMPDIR and hash seed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from groundwork.errors import UserError

from . import digests, outputs
from .compare import Comparison, compare, listed, read
from .environment import Environment
from .interpreters import this
from .plan import Plan
from .process import Ended
from .sandbox import HOME, Place, Sandbox
from .step import Limits, Step

_NAMES = ("training", "outputs")
# Runs of a clock's same second would agree on it.
_APART = 1.1


@dataclass(frozen=True)
class Trained:
    """A training: how it ended, its copy of the repository, and what it wrote there."""

    ended: Ended
    copy: Path
    written: list[str]


def train_twice(
    first: Environment,
    second: Callable[[], tuple[Environment, Ended]],
    plan: Plan,
    limits: Limits,
) -> Iterator[Step]:
    """Train in two environments, the second of which is made meanwhile, and compare."""
    if not plan.train.shell:
        yield from not_done(plan.train.source)
        return
    begun = monotonic()
    one = _train(first, plan, limits, seed=1)
    if not one.ended.good:
        yield from _failed("", plan, one.ended)
        return
    made, ended = second()
    if not ended.good:
        why = f"in another folder the environment cannot be made: {ended.why()}"
        yield Step(_NAMES[0], "failed", why, monotonic() - begun, ended.log)
        yield _nothing()
        return
    sleep(max(0, _APART - (monotonic() - begun)))
    other = _train(made, plan, limits, seed=2)
    if not other.ended.good:
        where = "in another folder, with another TMPDIR and PYTHONHASHSEED: "
        yield from _failed(where, plan, other.ended)
        return
    took = one.ended.seconds + other.ended.seconds
    words = f"{plan.train} ran twice"
    yield Step(_NAMES[0], "passed", words, took, other.ended.log)
    begun = monotonic()
    step = _compared(first, plan, limits, one, other)
    yield Step(step.name, step.state, step.message, monotonic() - begun)


def not_done(why: str) -> Iterator[Step]:
    """Yield the steps where there is no training."""
    for name in _NAMES:
        yield Step(name, "not done", why)


def _failed(where: str, plan: Plan, ended: Ended) -> Iterator[Step]:
    why = f"{where}{plan.train}: {ended.why()}"
    yield Step(_NAMES[0], "failed", why, ended.seconds, ended.log)
    yield _nothing()


def _nothing() -> Step:
    return Step(_NAMES[1], "not done", "training failed, so there is nothing to compare")


def _train(environment: Environment, plan: Plan, limits: Limits, *, seed: int) -> Trained:
    copied, place = environment.fresh()
    before = outputs.snapshot(copied)
    ended = environment.run(plan.train.shell, place, limits.training, seed=seed)
    return Trained(ended, copied, outputs.written(before, outputs.snapshot(copied)))


def _compared(
    environment: Environment, plan: Plan, limits: Limits, one: Trained, other: Trained
) -> Step:
    names = sorted({*one.written, *other.written})
    chosen = outputs.choose(names, plan.declared)
    aside = _aside(chosen.skipped)
    if chosen.unmatched:
        why = f"training wrote nothing that matches {listed(chosen.unmatched)}{aside}"
        return Step(_NAMES[1], "failed", f"{why}; see outputs in {plan.declared.source}")
    if not chosen.compared:
        why = f"training wrote no file to compare{aside}; declare outputs, or have it write a model"
        return Step(_NAMES[1], "not done", why)
    found = _compare(environment.sandbox, plan, one, other)
    if not found.different:
        left_out = [f"{name}: {what}" for name, what in found.left_out.items()]
        but = f"; not compared: {listed(left_out)}" if left_out else ""
        count = f"{len(found.same)} of {len(found.same)} equal: {listed(found.same)}"
        return Step(_NAMES[1], "passed", f"{count}{but}{aside}")
    why = f"{len(found.different)} of {len(found.same) + len(found.different)} differ: "
    why += listed(found.different) + aside
    third = _train(environment, plan, limits, seed=1)
    if not third.ended.good:
        return Step(_NAMES[1], "failed", why)
    if _compare(environment.sandbox, plan, one, third).different:
        cause = "they differ in the same folder and with the same PYTHONHASHSEED, too"
    else:
        cause = "the folder, TMPDIR or PYTHONHASHSEED decides: with those, they are the same"
    return Step(_NAMES[1], "failed", f"{why}; {cause}")


def _aside(skipped: dict[str, str]) -> str:
    names = [f"{outputs.common(name)} ({why})" for name, why in skipped.items()]
    return f"; not compared: {listed(sorted(set(names)))}" if names else ""


def _compare(sandbox: Sandbox, plan: Plan, one: Trained, other: Trained) -> Comparison:
    found = (_digests(sandbox, plan, run) for run in (one, other))
    return compare(next(found), next(found), plan.declared.volatile_metrics)


def _digests(sandbox: Sandbox, plan: Plan, run: Trained) -> dict[str, dict[str, object]]:
    """Return the digests of what is compared. The sandbox reads it, as it may be anything."""
    names = outputs.choose(run.written, plan.declared).compared
    home = sandbox.scratch / f"digests-{next(sandbox.numbers)}"
    home.mkdir()
    (home / "names.json").write_text(json.dumps(names), "utf-8")
    script = home / "digests.py"
    script.write_bytes(Path(digests.__file__).read_bytes())
    words = [str(this().program)]
    words += ["-I", f"{HOME}/digests.py", "/work/copy"]
    words += [f"{HOME}/names.json", f"{HOME}/found.json"]
    place = Place(HOME, {home: HOME, run.copy: "/work/copy"})
    ended = sandbox.run(words, place, sandbox.limits.training)
    if not ended.good:
        raise UserError(f"what training wrote cannot be read: {ended.why()}")
    return read(home / "found.json")
