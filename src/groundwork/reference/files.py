"""docs/reference/files.md: what a project has, whose it is, and which answer brings it."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from .source import NOTE, first_line, parse

_CONDITION = re.compile(r"{% if (.+?) %}(.+?){% endif %}")
_PACKAGE = "{{ package_name }}"
_GENERATED = ("poetry.lock", "requirements/", "docs/environment.md")
# The layers of ops/, each below the ones that follow it.
_ORDER = (
    *("core", "data", "provenance", "tracking", "training", "serving", "monitoring"),
    *("delivery", "cli"),
)
_INTRO = """\
# Files and owners

Every project has these files. `scripts/update.sh` never changes what is yours; it merges what is
the standard's with your edits; `scripts/lock.sh` makes what is generated. A project lists its own
in `docs/ownership.yml`.

{note}

![Your files beside the layers of ops/](../pictures/layers.svg)

## Yours

Written once, as a working example. No update changes one, or brings it back if you deleted it.

"""
_STANDARD = """
## The standard's, and generated

Folders of a deploy target are one line. "Always" means: whatever the answers are.

| file | owner | rendered |
| --- | --- | --- |
"""
_LAYERS = """
## ops/

The standard's code, in `src/PACKAGE/ops/`. Each layer knows only what its line says.
`ops/SHA256SUMS` has the bytes that the template's tests have proven: the contract tests name each
file that differs.

| layer | what it is |
| --- | --- |
"""


def markdown(root: Path) -> str:
    """Return the page for the template in `root`."""
    owned = yours(root)
    rows = "".join(
        f"| `{path}` | {_owner(path)} | {when} |\n"
        for path, when in rendered(root)
        if path not in owned
    )
    layers = "".join(f"| `{name}/` | {said} |\n" for name, said in _layers(root))
    note = NOTE.format("`includes/ownership.yml` and the files of `template`")
    listed = "".join(f"- `{path}`\n" for path in owned)
    return f"{_INTRO.format(note=note)}{listed}{_STANDARD}{rows}{_LAYERS}{layers}"


def _owner(path: str) -> str:
    return "generated" if path.startswith(_GENERATED) else "the standard"


def yours(root: Path) -> list[str]:
    """Return the owner's files, as they are called in a project."""
    lists = yaml.safe_load((root / "includes/ownership.yml").read_text("utf-8"))["_exclude"]
    found = re.findall(r"^/(.+)$", lists[0], re.MULTILINE)
    return [path.replace(_PACKAGE, "PACKAGE") for path in found]


def rendered(root: Path) -> list[tuple[str, str]]:
    """Return each file outside of ops/ with what has to be answered for it, sorted by name."""
    found: dict[str, str] = {}
    for path in (root / "template").rglob("*"):
        name = path.relative_to(root / "template").as_posix()
        if path.is_file() and "__pycache__" not in name and "/ops/" not in name:
            shown, when = _named(name)
            found.setdefault(shown, when)
    return sorted(found.items())


def _named(name: str) -> tuple[str, str]:
    conditions = [_answer(one[1]) for one in _CONDITION.finditer(name)]
    shown = _CONDITION.sub(r"\2", name).removesuffix(".jinja").replace(_PACKAGE, "PACKAGE")
    shown = shown.replace("{{ _copier_conf.answers_file }}", ".copier-answers.yml")
    deploy = re.match(r"deploy/(\w+)/", shown)
    return (deploy[0] if deploy else shown), " and ".join(conditions) or "always"


def _answer(condition: str) -> str:
    """Return a condition as answers: "'compose' in deploy" as "`deploy` has `compose`"."""
    condition = re.sub(r"'(\w+)' in (\w+)", r"`\2` has `\1`", condition)
    condition = re.sub(r"(\w+) == '([\w-]+)'", r"`\1` is `\2`", condition)
    return re.sub(r"(\w+) != '([\w-]+)'", r"`\1` is not `\2`", condition)


def _layers(root: Path) -> Iterator[tuple[str, str]]:
    for name in _ORDER:
        yield name, first_line(parse(root, f"{name}/__init__.py"))
