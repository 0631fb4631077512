"""`groundwork adopt`."""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from groundwork import template
from groundwork.adopt import adoption
from groundwork.errors import UserError
from groundwork.template.questions import Questions
from groundwork.update.standard import Standard

from .progress import working


def adopt(  # noqa: PLR0913 - options of a command
    context: typer.Context,
    project: Annotated[Path, typer.Argument(help="The repository's folder.")],
    *,
    url: Annotated[
        str, typer.Option(help="Where everybody clones the template from; this checkout if empty.")
    ] = "",
    to: Annotated[str, typer.Option(metavar="VERSION", help="Not the newest version.")] = "",
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=ANSWER", help="Answer a question.")
    ] = None,
    relax: Annotated[
        list[str] | None,
        typer.Option(metavar="PACKAGE", help="Give up the repository's pin of this package."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the defaults.")] = False,
) -> None:
    """Bring an existing repository onto the standard, on a branch."""
    given = dict(text.partition("=")[::2] for text in data or [])
    if not yes and not sys.stdin.isatty():
        raise UserError(
            "there is no terminal to ask on; answer with --data, and --yes for the rest"
        )
    source = url or str(template.find_root(context.obj))
    with tempfile.TemporaryDirectory() as cache, working("fetch the template") as work:

        def ask(questions: Questions, answers: Mapping[str, str], name: str, default: str) -> str:
            with work.paused():
                return _ask(questions, answers, name, default)

        standard = Standard(source, Path(cache))
        made = adoption.adopt(
            project,
            standard,
            given,
            to=to,
            relax=relax or (),
            ask=None if yes else ask,
            say=work.on,
        )
    print(made.text(), end="")


def _ask(form: Questions, answers: Mapping[str, str], name: str, default: str) -> str:
    import questionary  # noqa: PLC0415 - only where a person answers

    words = f"{form.rendered(form.by_name[name]['help'], answers)}\n  {name}"
    choices = form.choices(name)
    if form.several(name):
        checked = form.chosen(name, default)
        listed = [
            questionary.Choice(title, value, checked=value in checked)
            for value, title in choices.items()
        ]
        return f"[{', '.join(questionary.checkbox(words, listed).unsafe_ask())}]"
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
