"""`groundwork prove`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from groundwork.audit.prove.proof import STEPS, Wishes, prove
from groundwork.audit.prove.step import Limits, Step
from groundwork.errors import UserError

from .progress import Work, working

_GIB = 1 << 30
MINUTES, MEMORY = 60.0, 8.0  # of one command; GiB


def prove_repository(  # noqa: PLR0913 - options of a command
    path: Annotated[Path, typer.Argument(help="The repository's folder.")],
    *,
    train: Annotated[str, typer.Option(metavar="COMMAND", help="Train by it.")] = "",
    tests: Annotated[str, typer.Option(metavar="COMMAND", help="Test by it.")] = "",
    skip: Annotated[
        list[str] | None, typer.Option(metavar="STEP", help=f"Leave out: {', '.join(STEPS[1:])}.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Stop a command that takes longer.", min=0.01)
    ] = MINUTES,
    memory: Annotated[
        float, typer.Option(metavar="GIB", help="Stop a command that uses more.", min=0.1)
    ] = MEMORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Install, test, train twice and compare, build the image: in a sandbox, without network."""
    unknown = sorted({*(skip or [])} - {*STEPS[1:]})
    if unknown:
        raise UserError(f"--skip {unknown[0]}: there is no such step; see groundwork prove --help")
    wishes = Wishes(tests, train, frozenset(skip or []))
    return run(path, limits(minutes, memory), wishes, as_json=as_json)


def limits(minutes: float = MINUTES, memory: float = MEMORY) -> Limits:
    """Return the limits of every command: minutes, and GiB of memory."""
    seconds = 60 * minutes
    return Limits(seconds, seconds, seconds, seconds, memory=int(memory * _GIB))


def run(path: Path, limits: Limits, wishes: Wishes, *, as_json: bool = False) -> int:
    """Prove a repository, print the steps, and return 0 if all that was asked for passed."""
    steps = []
    with working("look at the repository") as work:
        for step in prove(path, limits, wishes, work.on):
            steps.append(step)
            if not as_json:
                _print(step, work)
    if as_json:
        print(json.dumps([asdict(step) for step in steps], indent=2))
    return int(any(step.state != "passed" for step in steps))


def _print(step: Step, work: Work) -> None:
    with work.paused():
        took = f" ({step.seconds:.1f} s)" if step.seconds else ""
        print(f"{step.state:9} {step.name}: {step.message}{took}", flush=True)
        if step.state == "failed" and step.log:
            for line in step.log.rstrip().splitlines()[-10:]:
                print(f"          | {line}", file=sys.stderr)
