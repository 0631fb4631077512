"""The lock as hashed requirements, and the record that says what Poetry made them from.

Also run by its path in Poetry's own environment, where the project's packages are not installed:
it imports nothing of the project, and Poetry only to export.
"""

import hashlib
import json
import sys
import tomllib
from pathlib import Path

# Holds the fingerprint of what Poetry locked or accepted; scripts/lock.sh writes it.
RECORD = Path("requirements/lock.sha256")


def groups(project: Path) -> list[str]:
    """Return what is exported: `main` and each group, by PEP 735 or in Poetry's own way."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    own = pyproject.get("tool", {}).get("poetry", {}).get("group", {})
    return ["main", *(pyproject.get("dependency-groups", {}) | own)]


def export(project: Path, into: Path) -> None:
    """Write each group of the lock as `poetry export` does, to GROUP.txt in the folder `into`.

    All at once, as Poetry takes longer to start than to export.
    """
    from cleo.io.null_io import NullIO
    from packaging.utils import canonicalize_name
    from poetry.factory import Factory
    from poetry_plugin_export.exporter import Exporter

    poetry = Factory().create_poetry(project, disable_plugins=True)
    for group in groups(project):
        exporter = Exporter(poetry, NullIO()).only_groups([canonicalize_name(group)])
        exporter.export("requirements.txt", into, f"{group}.txt")


def fingerprint(project: Path, exports: Path) -> str:
    """Return a SHA-256 over what a project asks for, its poetry.lock and the exports in a folder.

    Of pyproject.toml that is every table in which a dependency can stand.
    """
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    table, poetry = pyproject["project"], pyproject.get("tool", {}).get("poetry", {})
    keys = ("requires-python", "dependencies", "optional-dependencies", "dynamic")
    asked = {
        "project": {key: table.get(key) for key in keys},
        "dependency-groups": pyproject.get("dependency-groups"),
        "poetry": {key: value for key, value in poetry.items() if key != "packages"},
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for path in (project / "poetry.lock", *sorted(exports.glob("*.txt"))):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"\n{path.name} {content}".encode())
    return digest.hexdigest()


def record(project: Path, exports: Path) -> None:
    """Write the fingerprint beside the exports."""
    (exports / RECORD.name).write_text(f"{fingerprint(project, exports)}\n", encoding="utf-8")


def is_recorded(project: Path) -> bool:
    """Tell whether nothing changed since the record was written."""
    recorded = (project / RECORD).read_text(encoding="utf-8").strip()
    return recorded == fingerprint(project, project / RECORD.parent)


if __name__ == "__main__":
    if sys.argv[1] == "--recorded":
        sys.exit(not is_recorded(Path()))
    export(Path(sys.argv[1]), Path(sys.argv[2]))
    record(Path(sys.argv[1]), Path(sys.argv[2]))
