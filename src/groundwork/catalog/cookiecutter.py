"""A cookiecutter template that asks the same questions, and leaves the rest to Copier."""

import json
from typing import Any

from groundwork.template.questions import selections

from .offer import README, RECOPY, Offer, values

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


def stub(offer: Offer) -> dict[str, str]:
    """Return the files of a cookiecutter template that asks the same questions."""
    context: dict[str, Any] = {}
    lines = offer.origin()
    for name, question in offer.questions.items():
        default = question["default"]
        if name == "package_name":
            default = "{{ cookiecutter.project_name | slugify(separator='_') }}"
        # cookiecutter takes the first choice for the default.
        offered = values(question)
        if question.get("multiselect"):
            offered = selections(offered)
        choices = sorted(offered, key=lambda value: value != default)
        context[name] = choices or default
        lines.append(f"{name}: {{{{ cookiecutter.{name} | tojson }}}}")
    return {
        "cookiecutter.json": json.dumps(context, indent=2, ensure_ascii=False) + "\n",
        "hooks/post_gen_project.py": _HOOK,
        "{{ cookiecutter.package_name }}/.copier-answers.yml": "\n".join(lines) + "\n",
        "{{ cookiecutter.package_name }}/README.md": README.format(
            name="{{ cookiecutter.project_name }}"
        ),
    }
