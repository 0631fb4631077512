"""What Backstage reads: an entity for each form, and the files that it fills in."""

from typing import Any

from .form import form
from .offer import README, RECOPY, Offer
from .presets import preset

HOSTS = {"github": "github.com", "gitlab": "gitlab.com"}
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


def entity(offer: Offer, name: str) -> dict[str, Any]:
    """Return Backstage's entity for a preset, or for `project`, which asks everything."""
    given: dict[str, Any] = {}
    title, about = (
        "ML project",
        "Everything is asked: framework, accelerator, data, tracking, CI.",
    )
    if name != "project":
        title, about, given = preset(offer.root / f"catalog/presets/{name}.yml")
    values = {
        asked: given.get(asked, f"${{{{ parameters.{asked} }}}}") for asked in offer.questions
    }
    where = {
        "title": "Where it lives",
        "required": ["repoUrl", "owner"],
        "properties": {
            "repoUrl": {
                "title": "Repository",
                "type": "string",
                "ui:field": "RepoUrlPicker",
                "ui:options": {"allowedHosts": [HOSTS[offer.host]]},
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
            "action": f"publish:{offer.host}",
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
    next_step = [
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
            "links": [{"url": offer.url, "title": "The template"}] if "://" in offer.url else [],
        },
        "spec": {
            "owner": offer.owner,
            "type": "service",
            "parameters": [form(offer, given), where],
            "steps": steps,
            "output": {"links": links, "text": next_step},
        },
    }


def skeleton(offer: Offer) -> dict[str, str]:
    """Return the files that Backstage's fetch:template fills in."""
    lines = offer.origin()
    for name in offer.questions:
        value = f"{name}: ${{{{ values.{name} | dump }}}}"
        lines.append(f"{{% if values.{name} %}}{value}{{% endif %}}")
    return {
        ".copier-answers.yml": "\n".join(lines) + "\n",
        "README.md": README.format(name="${{ values.project_name }}"),
        "catalog-info.yaml": _COMPONENT,
    }
