"""YAML with line numbers: Compose files, Kubernetes manifests, workflows."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

CONTAINERS, CI, CONFIGURATION = "container", "CI", "configuration"


class Text(str):
    """A text with its line."""

    __slots__ = ("line",)
    line: int


class Mapping(dict[Any, Any]):
    """A mapping with its line."""

    line: int = 1


class _Loader(yaml.CSafeLoader):
    """A safe loader that keeps lines; a tag that it does not know, as GitLab's, gives None."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[Mapping]:
    found = Mapping()
    found.line = node.start_mark.line + 1
    yield found
    loader.flatten_mapping(node)
    found.update(loader.construct_mapping(node, deep=True))


def _text(loader: _Loader, node: yaml.ScalarNode) -> Text:
    found = Text(loader.construct_scalar(node))
    found.line = node.start_mark.line + 1
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor(None, lambda _loader, _node: None)


def documents(text: str) -> list[Mapping]:
    """Return the mappings of a YAML file. Raises ValueError where it is not YAML."""
    try:
        return [one for one in yaml.load_all(text, _Loader) if isinstance(one, Mapping)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"line {mark.line + 1 if mark else 1}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None


def line(value: object, otherwise: int = 1) -> int:
    """Return the line of a value of a document."""
    return getattr(value, "line", otherwise)


def mapping(value: object) -> Mapping:
    """Return a value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else Mapping()


def listed(value: object) -> list[Any]:
    """Return a value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def is_manifest(text: str) -> bool:
    """Return whether a text is a Kubernetes manifest."""
    return bool(re.search(r"(?m)^apiVersion:\s*\S", text) and re.search(r"(?m)^kind:\s*\S", text))
