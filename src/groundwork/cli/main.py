"""The command line: `groundwork fleet`, and what keeps the template itself."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import questionary

from groundwork import template
from groundwork.adopt.adoption import adopt
from groundwork.catalog.backstage import HOSTS
from groundwork.catalog.catalog import write
from groundwork.catalog.offer import Offer
from groundwork.errors import UserError
from groundwork.fleet.report import Row, page, table
from groundwork.fleet.survey import survey
from groundwork.locks.check import check
from groundwork.locks.resolve import targets, update
from groundwork.template.questions import Questions
from groundwork.template.reference import markdown
from groundwork.update.git import GitError
from groundwork.update.standard import Standard


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; an error is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (UserError, GitError, OSError) as error:
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

    command = commands.add_parser(
        "catalog", help="write forms for Backstage and a stub for cookiecutter"
    )
    command.add_argument("into", type=Path, metavar="FOLDER", help="where the catalog is kept")
    command.add_argument("--url", required=True, help="where everybody clones the template from")
    command.add_argument("--version", required=True, help="the tag that new projects start from")
    command.add_argument("--owner", default="platform", help="who answers for it (%(default)s)")
    command.add_argument(
        "--host",
        choices=HOSTS,
        default="github",
        help="where repositories are (%(default)s)",
    )
    command.set_defaults(run=_catalog)

    command = commands.add_parser(
        "adopt", help="bring an existing repository onto the standard, on a branch"
    )
    command.add_argument("project", type=Path, metavar="PROJECT", help="the repository's folder")
    command.add_argument("--url", help="where everybody clones the template from (default: here)")
    command.add_argument("--to", default="", metavar="VERSION", help="not the newest version")
    command.add_argument(
        "--data", action="append", default=[], metavar="NAME=ANSWER", help="answer a question"
    )
    command.add_argument("--yes", action="store_true", help="ask nothing: take the defaults")
    command.set_defaults(run=_adopt)

    command = commands.add_parser(
        "fleet", help="show how many projects stand to the standard, or update them all on branches"
    )
    command.add_argument(
        "projects", nargs="*", metavar="PROJECT", help="a repository's folder or address"
    )
    command.add_argument("--file", type=Path, help="take more from this file, one a line")
    command.add_argument(
        "--update", action="store_true", help="make a branch with the newest standard in each"
    )
    command.add_argument(
        "--to", default="", metavar="VERSION", help="that version and not the newest"
    )
    command.add_argument(
        "--html", type=Path, metavar="PAGE", help="write what is shown as a page too"
    )
    command.add_argument("--jobs", type=int, help="how many at a time (default: one a processor)")
    command.set_defaults(run=_fleet)
    return parser


def _adopt(options: argparse.Namespace) -> int:
    given = dict(text.partition("=")[::2] for text in options.data)
    if not options.yes and not sys.stdin.isatty():
        raise UserError(
            "there is no terminal to ask on; answer with --data, and --yes for the rest"
        )
    source = options.url or str(template.find_root(options.template))
    with tempfile.TemporaryDirectory() as cache:
        standard = Standard(source, Path(cache))
        ask = None if options.yes else _ask
        print(adopt(options.project, standard, given, to=options.to, ask=ask).text(), end="")
    return 0


def _ask(form: Questions, answers: Mapping[str, str], name: str, default: str) -> str:
    words = f"{form.rendered(form.by_name[name]['help'], answers)}\n  {name}"
    choices = form.choices(name)
    if choices:
        listed = [questionary.Choice(title, value) for value, title in choices.items()]
        prompt = questionary.select(words, listed, default=default)
    else:
        prompt = questionary.text(
            words,
            default,
            validate=lambda value: form.refusal(name, {**answers, name: value}) or True,
        )
    answer: str = prompt.unsafe_ask()
    return answer


def _fleet(options: argparse.Namespace) -> int:
    names = list(
        dict.fromkeys([*options.projects, *(_lines(options.file) if options.file else [])])
    )
    if not names:
        raise UserError("there is no project to look at; name some, or a --file that does")
    if options.jobs is not None and options.jobs < 1:
        raise UserError("--jobs must be at least 1")
    if options.html:  # told before the work, not after
        _write(options.html, None)
    rows: dict[str, Row] = {}
    for row in survey(names, update=options.update, to=options.to, jobs=options.jobs):
        rows[row.name] = row
        print(f"[{len(rows)}/{len(names)}] {row.name}: {row.state}", file=sys.stderr, flush=True)
    ordered = [rows[name] for name in names]
    print(table(ordered))
    if options.html:
        _write(options.html, page(ordered))
    return int(any(row.state in {"failed", "conflict"} for row in ordered))


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return [line for line in lines if line]


def _write(path: Path, text: str | None) -> None:
    """Write a file whole or not at all; without a text, only see whether it could be."""
    try:
        path.open("a").close()
        if text is not None:
            partial = path.with_name(f".{path.name}.partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def _catalog(options: argparse.Namespace) -> int:
    root = template.find_root(options.template)
    offer = Offer(root, options.url, options.version, options.owner, options.host)
    for path in write(offer, options.into):
        print(f"wrote {options.into / path}")
    return 0


def _questions(options: argparse.Namespace) -> int:
    print(markdown(template.find_root(options.template)), end="")
    return 0


def _lock(options: argparse.Namespace) -> int:
    root = template.find_root(options.template)
    names = targets(root, options.name)
    checked = ((name, check(root, name)) for name in names)
    updated = update(root, names, upgrade=options.upgrade)
    fine = "locked, hashed and exported as it should be" if options.check else "nothing moved"
    failed = False
    for name, lines in checked if options.check else updated:
        failed |= options.check and bool(lines)
        told = [f"{name}:", *(f"  {line}" for line in lines)] if lines else [f"{name}: {fine}"]
        print("\n".join(told), flush=True)
    return int(failed)
