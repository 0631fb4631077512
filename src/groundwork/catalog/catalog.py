"""What an organisation's catalog offers: forms for Backstage and a stub for cookiecutter.

All of it is made from copier.yml and the presets, for the address that the template has in the
organisation, so neither can lag behind. What the forms and the stub make is `.copier-answers.yml`;
`copier recopy` makes the project of it, which is updated like any other from then on.
"""

import shutil
from pathlib import Path
from typing import Any

import yaml

from groundwork.errors import UserError

from .backstage import entity, skeleton
from .cookiecutter import stub
from .offer import Offer
from .presets import presets


def write(offer: Offer, into: Path) -> list[Path]:
    """Write the catalog to the folder `into` and return its files, relative to that.

    Raises:
        UserError: the folder holds something else.
    """
    made = into / "catalog-info.yaml"
    if into.exists() and any(into.iterdir()) and not made.exists():
        raise UserError(f"{into} holds something else than a catalog; name another folder")
    files: dict[str, str] = {}
    names = ["project", *(path.stem for path in presets(offer.root))]
    for name in names:
        files[f"backstage/{name}.yaml"] = _yaml(entity(offer, name))
    targets = [f"./backstage/{name}.yaml" for name in names]
    files["catalog-info.yaml"] = _yaml(
        {
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Location",
            "metadata": {"name": "groundwork", "description": "Templates of ML repositories"},
            "spec": {"type": "url", "targets": targets},
        }
    )
    files |= {f"backstage/skeleton/{name}": text for name, text in skeleton(offer).items()}
    files |= {f"cookiecutter/{name}": text for name, text in stub(offer).items()}
    for part in ("backstage", "cookiecutter"):
        shutil.rmtree(into / part, ignore_errors=True)
    for name, text in files.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_text(text, "utf-8")
    return sorted(map(Path, files))


class _Dumper(yaml.SafeDumper):
    """Writes lists inside lists indented, and nothing as an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as in PyYAML
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002
        super().increase_indent(flow, indentless=False)


def _yaml(content: Any) -> str:  # noqa: ANN401 - whatever YAML holds
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
