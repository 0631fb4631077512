"""Compiled templates of Jinja, kept from one project's render to the next in a process."""

from typing import Any

from jinja2 import Environment

whole = Environment.compile
_known: dict[tuple[object, ...], Any] = {}
# What code depends on, beside its text, the kind of environment, its delimiters and extensions.
SETTINGS = ("autoescape", "finalize", "optimized", "is_async")


def keep() -> None:
    """Let every environment of this process take code that one like it compiled of the same text.

    Copier makes an environment for each render, which compiles each part of each path again: a
    third of the processor's time of an update. Jinja's own cache is for templates in files only.
    """
    Environment.compile = _compile  # type: ignore[method-assign, assignment]


def _compile(environment: Environment, source: Any, *how: Any, **named: Any) -> Any:  # noqa: ANN401 - Jinja's own
    if not isinstance(source, str):
        return whole(environment, source, *how, **named)
    # One lexer belongs to all environments with the same delimiters and rules of white space.
    kind = (type(environment), environment.lexer, *environment.extensions)
    settings = [getattr(environment, name) for name in SETTINGS]
    key = (*kind, *settings, source, *how, *sorted(named.items()))
    if key not in _known:
        _known[key] = whole(environment, source, *how, **named)
    return _known[key]
