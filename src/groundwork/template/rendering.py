"""Renders of the checkout as it stands."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from jinja2 import TemplateNotFound

from groundwork.errors import UserError


def render(root: Path, into: Path, *, only: Sequence[str] = (), **answers: str) -> None:
    """Render the checkout as it stands, uncommitted changes included, with these answers.

    `only` names the files to render, as they are called in a project; all of them by default.

    Raises:
        UserError: an answer is refused, or a file that the template includes is missing.
    """
    import copier  # noqa: PLC0415 - as long as the rest of a command takes to start

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=copier.errors.DirtyLocalWarning)
        try:
            copier.run_copy(
                str(root),
                into,
                data=answers,
                exclude=["*", *(f"!{name}" for name in only)] if only else [],
                defaults=True,
                quiet=True,
                overwrite=True,
                vcs_ref="HEAD",
                unsafe=False,
            )
        except ValueError as error:
            raise UserError(str(error)) from error
        except TemplateNotFound as error:
            raise UserError(f"the template includes {error.name}, which does not exist") from error
