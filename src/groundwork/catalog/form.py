"""The questions as a form: a JSON Schema."""

from collections.abc import Mapping
from typing import Any

import yaml
from jinja2 import meta

from groundwork.errors import UserError

from .offer import Offer, values

Schema = dict[str, Any]


def form(offer: Offer, given: Mapping[str, Any]) -> Schema:
    """Return the questions that `given` leaves open as a JSON Schema.

    Raises:
        UserError: a question depends on more than one other, which no form can express.
    """
    asked: Schema = {}
    dependent: dict[str, list[str]] = {}
    for name in offer.questions:
        if name in given:
            continue
        on = _condition(offer, name)
        if on is None or (on in given and _holds(offer, name, on, given[on])):
            asked[name] = _field(offer, name, given)
        elif on not in given:
            dependent.setdefault(on, []).append(name)
    dependencies = {}
    for on, names in dependent.items():
        alternatives: dict[tuple[str, ...], list[str]] = {}
        for choice in values(offer.questions[on]):
            shown = tuple(name for name in names if _holds(offer, name, on, choice))
            alternatives.setdefault(shown, []).append(choice)
        dependencies[on] = {
            "oneOf": [
                {
                    "properties": {
                        on: {"enum": choices},
                        **{name: _field(offer, name, {on: choices[0]}) for name in shown},
                    }
                }
                for shown, choices in alternatives.items()
            ]
        }
    schema: Schema = {
        "title": "The project",
        "type": "object",
        "required": ["project_name"],
        "properties": asked,
    }
    return {**schema, "dependencies": dependencies} if dependencies else schema


def _condition(offer: Offer, name: str) -> str | None:
    """Return the question that decides whether this one is asked, None where it always is."""
    when = offer.questions[name].get("when", True)
    if when is True:
        return None
    on = sorted(meta.find_undeclared_variables(offer.jinja.parse(str(when))))
    if len(on) != 1 or not values(offer.questions.get(on[0], {})):
        raise UserError(
            f"{name} is asked depending on {', '.join(on) or 'nothing'}; a form can follow one "
            "question with choices only"
        )
    return on[0]


def _holds(offer: Offer, name: str, on: str, answer: str) -> bool:
    rendered = offer.jinja.from_string(offer.questions[name]["when"]).render({on: answer})
    return bool(yaml.safe_load(rendered))


def _field(offer: Offer, name: str, answers: Mapping[str, Any]) -> Schema:
    """Return a question as a field of a form, after `answers` that are known."""
    question = offer.questions[name]
    named = {"project_name": "the project", "author_name": "the author"}
    known = {**dict.fromkeys(offer.questions, ""), **named, **answers}
    help_text = offer.jinja.from_string(question.get("help", "")).render(known).strip()
    field: Schema = {
        "title": name.replace("_", " ").capitalize(),
        "type": "string",
        "description": help_text,
    }
    if "{" not in question["default"] and question["default"]:
        field["default"] = question["default"]
    if choices := values(question):
        names = [str(choice) for choice in question["choices"]]
        if question.get("multiselect"):
            items = {"type": "string", "enum": choices, "enumNames": names}
            default = yaml.safe_load(question["default"])
            return {
                **field,
                "type": "array",
                "items": items,
                "uniqueItems": True,
                "default": default,
            }
        field["enum"], field["enumNames"] = choices, names
    return field
