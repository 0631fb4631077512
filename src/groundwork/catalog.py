"""What an organisation's catalog offers: forms for Backstage and a stub for cookiecutter.

All of it is made from copier.yml and the presets, for the address that the template has in the
organisation, so neither can lag behind. What the forms and the stub make is `.copier-answers.yml`;
`copier recopy` makes the project of it, which is updated like any other from then on.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import meta

from . import template
from .errors import UserError

Schema = dict[str, Any]
RECOPY = "copier recopy --force --vcs-ref=:current:"
HOSTS = {"github": "github.com", "gitlab": "gitlab.com"}
_README = f"""\
# {{name}}

One command makes the project of the answers in `.copier-answers.yml`, with
[Copier](https://copier.readthedocs.io) and git installed:

```sh
{RECOPY}
```

Look at what it made and commit it. This file is then replaced by the project's own.
"""
# `dump` writes JSON, which YAML is a superset of.
_COMPONENT = """\
{% set name = values.project_name | lower | replace(r/[^a-z0-9]+/g, "-") -%}
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: ${{ name | replace(r/^-|-$/g, "") | dump }}
  title: ${{ values.project_name | dump }}
spec:
  type: service
  lifecycle: experimental
  owner: ${{ values.owner | dump }}
"""
_HOOK = f"""\
\"\"\"Makes the project of the answers, where Copier is at hand; says how, where it is not.\"\"\"

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("copier"):
    command = [sys.executable, "-m", *"{RECOPY}".split()]
    sys.exit(subprocess.run(command, check=False).returncode)
print("Copier is not installed for this Python. In the new folder, run: {RECOPY}")
"""


class _Dumper(yaml.SafeDumper):
    """Writes lists inside lists indented, and nothing as an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as in PyYAML
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002
        super().increase_indent(flow, indentless=False)


class Catalog:
    """The questions and presets of one checkout, and where its users find the template."""

    def __init__(self, root: Path, url: str, version: str, owner: str, host: str) -> None:
        """Offer the template at `url`, in `version` (a tag), in the name of `owner`.

        Raises:
            UserError: the address or the version cannot stand in a catalog.
        """
        if not re.fullmatch(r"(https://|git@|ssh://)\S+", url):
            raise UserError(
                f"--url {url}: give the address that everybody clones the template from"
            )
        if not re.fullmatch(r"[\w./-]+", version):
            raise UserError(f"--version {version}: give a tag of the template")
        self.root, self.url, self.version, self.owner, self.host = root, url, version, owner, host
        self.jinja = template.environment(root)
        questions = template.load(root)[1]
        self.questions = {
            name: question
            for name, question in questions.items()
            if question.get("when") is not False
        }

    def write(self, into: Path) -> list[Path]:
        """Write the catalog to the folder `into` and return its files, relative to that.

        Raises:
            UserError: the folder holds something else.
        """
        made = into / "catalog-info.yaml"
        if into.exists() and any(into.iterdir()) and not made.exists():
            raise UserError(f"{into} holds something else than a catalog; name another folder")
        files: dict[str, str] = {}
        names = ["project", *(path.stem for path in presets(self.root))]
        for name in names:
            files[f"backstage/{name}.yaml"] = _yaml(self.entity(name))
        targets = [f"./backstage/{name}.yaml" for name in names]
        files["catalog-info.yaml"] = _yaml(
            {
                "apiVersion": "backstage.io/v1alpha1",
                "kind": "Location",
                "metadata": {"name": "groundwork", "description": "Templates of ML repositories"},
                "spec": {"type": "url", "targets": targets},
            }
        )
        files |= {f"backstage/skeleton/{name}": text for name, text in self.skeleton().items()}
        files |= {f"cookiecutter/{name}": text for name, text in self.stub().items()}
        for part in ("backstage", "cookiecutter"):
            shutil.rmtree(into / part, ignore_errors=True)
        for name, text in files.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_text(text, "utf-8")
        return sorted(map(Path, files))

    def entity(self, name: str) -> dict[str, Any]:
        """Return Backstage's entity for a preset, or for `project`, which asks everything."""
        given: dict[str, Any] = {}
        title, about = (
            "ML project",
            "Everything is asked: framework, accelerator, data, tracking, CI.",
        )
        if name != "project":
            title, about, given = preset(self.root / f"catalog/presets/{name}.yml")
        form = self.form(given)
        values = {
            asked: given.get(asked, f"${{{{ parameters.{asked} }}}}") for asked in self.questions
        }
        where = {
            "title": "Where it lives",
            "required": ["repoUrl", "owner"],
            "properties": {
                "repoUrl": {
                    "title": "Repository",
                    "type": "string",
                    "ui:field": "RepoUrlPicker",
                    "ui:options": {"allowedHosts": [HOSTS[self.host]]},
                },
                "owner": {"title": "Owner", "type": "string", "ui:field": "OwnerPicker"},
            },
        }
        steps = [
            {
                "id": "answers",
                "name": "Write the answers",
                "action": "fetch:template",
                "input": {
                    "url": "./skeleton",
                    "values": {**values, "owner": "${{ parameters.owner }}"},
                },
            },
            {
                "id": "publish",
                "name": "Publish",
                "action": f"publish:{self.host}",
                "input": {"repoUrl": "${{ parameters.repoUrl }}", "defaultBranch": "main"},
            },
            {
                "id": "register",
                "name": "Register",
                "action": "catalog:register",
                "input": {
                    "repoContentsUrl": "${{ steps['publish'].output.repoContentsUrl }}",
                    "catalogInfoPath": "/catalog-info.yaml",
                },
            },
        ]
        links = [
            {"title": "Repository", "url": "${{ steps['publish'].output.remoteUrl }}"},
            {
                "title": "In the catalog",
                "icon": "catalog",
                "entityRef": "${{ steps['register'].output.entityRef }}",
            },
        ]
        told = [
            {
                "title": "One command to go",
                "content": f"Clone the repository, run `{RECOPY}` in it, look, and commit.",
            }
        ]
        return {
            "apiVersion": "scaffolder.backstage.io/v1beta3",
            "kind": "Template",
            "metadata": {
                "name": f"groundwork-{name}",
                "title": title,
                "description": about,
                "tags": ["machine-learning", "python"],
                "links": [{"url": self.url, "title": "The template"}] if "://" in self.url else [],
            },
            "spec": {
                "owner": self.owner,
                "type": "service",
                "parameters": [form, where],
                "steps": steps,
                "output": {"links": links, "text": told},
            },
        }

    def form(self, given: Mapping[str, Any]) -> Schema:
        """Return the questions that `given` leaves open as a JSON Schema.

        Raises:
            UserError: a question depends on more than one other, which no form can express.
        """
        asked: Schema = {}
        dependent: dict[str, list[str]] = {}
        for name in self.questions:
            if name in given:
                continue
            on = self._condition(name)
            if on is None or (on in given and self._holds(name, on, given[on])):
                asked[name] = self._field(name, given)
            elif on not in given:
                dependent.setdefault(on, []).append(name)
        dependencies = {}
        for on, names in dependent.items():
            alternatives: dict[tuple[str, ...], list[str]] = {}
            for choice in _values(self.questions[on]):
                shown = tuple(name for name in names if self._holds(name, on, choice))
                alternatives.setdefault(shown, []).append(choice)
            dependencies[on] = {
                "oneOf": [
                    {
                        "properties": {
                            on: {"enum": choices},
                            **{name: self._field(name, {on: choices[0]}) for name in shown},
                        }
                    }
                    for shown, choices in alternatives.items()
                ]
            }
        form: Schema = {
            "title": "The project",
            "type": "object",
            "required": ["project_name"],
            "properties": asked,
        }
        return {**form, "dependencies": dependencies} if dependencies else form

    def skeleton(self) -> dict[str, str]:
        """Return the files that Backstage's fetch:template fills in."""
        lines = self._origin()
        for name in self.questions:
            value = f"{name}: ${{{{ values.{name} | dump }}}}"
            lines.append(f"{{% if values.{name} %}}{value}{{% endif %}}")
        return {
            ".copier-answers.yml": "\n".join(lines) + "\n",
            "README.md": _README.format(name="${{ values.project_name }}"),
            "catalog-info.yaml": _COMPONENT,
        }

    def stub(self) -> dict[str, str]:
        """Return the files of a cookiecutter template that asks the same questions."""
        context: dict[str, Any] = {}
        lines = self._origin()
        for name, question in self.questions.items():
            default = question["default"]
            if name == "package_name":
                default = "{{ cookiecutter.project_name | slugify(separator='_') }}"
            values = _values(question)
            # cookiecutter takes the first choice for the default.
            context[name] = (
                sorted(values, key=lambda value: value != default) if values else default
            )
            lines.append(f"{name}: {{{{ cookiecutter.{name} | tojson }}}}")
        return {
            "cookiecutter.json": json.dumps(context, indent=2, ensure_ascii=False) + "\n",
            "hooks/post_gen_project.py": _HOOK,
            "{{ cookiecutter.package_name }}/.copier-answers.yml": "\n".join(lines) + "\n",
            "{{ cookiecutter.package_name }}/README.md": _README.format(
                name="{{ cookiecutter.project_name }}"
            ),
        }

    def _origin(self) -> list[str]:
        """Return the first lines of a file of answers: where the project comes from."""
        return [f"_commit: {json.dumps(self.version)}", f"_src_path: {json.dumps(self.url)}"]

    def _condition(self, name: str) -> str | None:
        """Return the question that decides whether this one is asked, None where it always is."""
        when = self.questions[name].get("when", True)
        if when is True:
            return None
        on = sorted(meta.find_undeclared_variables(self.jinja.parse(str(when))))
        if len(on) != 1 or not _values(self.questions.get(on[0], {})):
            raise UserError(
                f"{name} is asked depending on {', '.join(on) or 'nothing'}; a form can follow one "
                "question with choices only"
            )
        return on[0]

    def _holds(self, name: str, on: str, answer: str) -> bool:
        rendered = self.jinja.from_string(self.questions[name]["when"]).render({on: answer})
        return bool(yaml.safe_load(rendered))

    def _field(self, name: str, answers: Mapping[str, Any]) -> Schema:
        """Return a question as a field of a form, after `answers` that are known."""
        question = self.questions[name]
        named = {"project_name": "the project", "author_name": "the author"}
        known = {**dict.fromkeys(self.questions, ""), **named, **answers}
        help_text = self.jinja.from_string(question.get("help", "")).render(known).strip()
        field: Schema = {
            "title": name.replace("_", " ").capitalize(),
            "type": "string",
            "description": help_text,
        }
        if "{" not in question["default"] and question["default"]:
            field["default"] = question["default"]
        if values := _values(question):
            field["enum"] = values
            field["enumNames"] = _labels(question)
        return field


def presets(root: Path) -> list[Path]:
    """Return the presets: files of answers, sorted by name."""
    return sorted((root / "catalog/presets").glob("*.yml"))


def preset(path: Path) -> tuple[str, str, dict[str, Any]]:
    """Return a preset's title, what it says about itself, and its answers.

    Raises:
        UserError: the file does not begin with a comment that says so.
    """
    text = path.read_text("utf-8")
    said = re.match(r"# ([^:\n]+): ([^\n]+)\n", text)
    if not said:
        raise UserError(f"{path} must begin with a line such as: # Title: what it is for")
    return said[1], said[2], yaml.safe_load(text) or {}


def _values(question: Mapping[str, Any]) -> list[str]:
    choices = question.get("choices", [])
    return list(choices.values() if isinstance(choices, dict) else choices)


def _labels(question: Mapping[str, Any]) -> list[str]:
    return [str(choice) for choice in question["choices"]]


def _yaml(content: Any) -> str:  # noqa: ANN401 - whatever YAML holds
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
