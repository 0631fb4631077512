"""What a fleet's processes compile of a template is compiled once, and changes no render."""

from typing import Any

import pytest
from jinja2 import Environment
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

from groundwork.fleet import compiled


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Keep what is compiled, in this test alone; the texts that were are in the list."""
    texts: list[object] = []

    def noticed(environment: Environment, source: object, *how: Any, **named: Any) -> object:  # noqa: ANN401
        texts.append(source)
        return whole(environment, source, *how, **named)

    whole = compiled.whole
    monkeypatch.setattr(Environment, "compile", whole)
    monkeypatch.setattr(compiled, "whole", noticed)
    monkeypatch.setattr(compiled, "_known", {})
    compiled.keep()
    return texts


def shown(text: str, kind: type[Environment] = SandboxedEnvironment, **settings: Any) -> object:  # noqa: ANN401
    """What a text becomes in an environment that is made for it alone."""
    return kind(**{"autoescape": False, **settings}).from_string(text).render(name="<a>")


def test_a_text_is_compiled_once_for_environments_that_are_alike(kept: list[object]) -> None:
    assert [shown("{{ name }}!") for _ in range(3)] == ["<a>!"] * 3
    assert kept == ["{{ name }}!"]


def test_what_environments_differ_in_makes_other_code(kept: list[object]) -> None:
    text = "{{ 1 + 1 }}[[ 2 + 2 ]]\n"
    other = {"variable_start_string": "[[", "variable_end_string": "]]"}
    loop = "{% for n in [1, 2] %}{{ n }}{% break %}{% endfor %}"
    assert shown(text) == "2[[ 2 + 2 ]]"
    assert shown(text, **other) == "{{ 1 + 1 }}4"
    assert shown(text, keep_trailing_newline=True) == "2[[ 2 + 2 ]]\n"
    assert shown("{{ 1 + 1 }}", NativeEnvironment) == 2
    assert shown("{{ 1 + 1 }}") == "2"
    assert shown("{{ name }}") == "<a>"
    assert shown("{{ name }}", autoescape=True) == "&lt;a&gt;"
    assert shown(loop, extensions=["jinja2.ext.loopcontrols"]) == "1"
    assert len(kept) == 8
