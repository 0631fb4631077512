"""What `poetry export` does, for several groups at once. Poetry has to be installed."""

from pathlib import Path

from cleo.io.null_io import NullIO
from packaging.utils import canonicalize_name
from poetry.factory import Factory
from poetry_plugin_export.exporter import Exporter  # type: ignore[import-untyped]


def export(project: Path, groups: list[str]) -> None:
    """Write each of the lock's groups to requirements/GROUP.txt, every package with its hashes."""
    poetry = Factory().create_poetry(project, disable_plugins=True)
    for group in groups:
        exporter = Exporter(poetry, NullIO()).only_groups([canonicalize_name(group)])
        exporter.export("requirements.txt", project / "requirements", f"{group}.txt")
