"""The command line: `groundwork questions`, `groundwork lock`."""

import argparse
import sys
from pathlib import Path

from . import lock, questions, template
from .errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; an error is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing is half-written, run it again", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="groundwork", description="Tools that keep the Groundwork template."
    )
    parser.add_argument(
        "--template",
        type=Path,
        default=Path(),
        metavar="PATH",
        help="a folder in the template's checkout (default: the current one)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "questions", help="print the reference of the questions, as Markdown"
    )
    command.set_defaults(run=_questions)

    command = commands.add_parser(
        "lock", help="resolve and export the locks that the template ships, and say what moved"
    )
    command.add_argument(
        "name", nargs="*", help="a framework, or groundwork for the template's own lock"
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--check", action="store_true", help="change nothing; fail if a lock or an export is stale"
    )
    how.add_argument(
        "--upgrade",
        action="store_true",
        help="let every package move to its newest version that fits",
    )
    command.set_defaults(run=_lock)
    return parser


def _questions(options: argparse.Namespace) -> int:
    print(questions.markdown(template.find_root(options.template)), end="")
    return 0


def _lock(options: argparse.Namespace) -> int:
    root = template.find_root(options.template)
    names = lock.targets(root, options.name)
    checked = ((name, lock.check(root, name)) for name in names)
    updated = lock.update(root, names, upgrade=options.upgrade)
    fine = "locked, hashed and exported as it should be" if options.check else "nothing moved"
    failed = False
    for name, lines in checked if options.check else updated:
        failed |= options.check and bool(lines)
        told = [f"{name}:", *(f"  {line}" for line in lines)] if lines else [f"{name}: {fine}"]
        print("\n".join(told), flush=True)
    return int(failed)
