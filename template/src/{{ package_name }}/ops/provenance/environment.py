"""docs/environment.md: what this project runs in, written from the lock, Python and settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from ..core.files import load_toml, read_file, sha256_file, write_file
from ..core.settings import Settings
from . import lock

PAGE = Path("docs/environment.md")
# What in Copier's questions switches an optional group on.
_ANSWERS = {
    "cuda": "accelerator=cuda",
    "dvc": "data=dvc",
    "ray": "scale=ray",
    "wandb": "tracking=wandb",
}
_INTRO = """\
# Environment

Generated from poetry.lock, .python-version and the settings' code: `scripts/lock.sh` writes it
again, and a test fails when it is stale. How the environment is made is described in
[reproducibility.md](reproducibility.md).
"""


def render(root: Path) -> str:
    """Return the page's text. Raises UserError where a file that it is made from cannot be read."""
    return "\n".join(_lines(root)) + "\n"


def write(root: Path) -> Path:
    """Write the page and return its path. Raises UserError where that cannot be done."""
    write_file(root / PAGE, render(root).encode())
    return root / PAGE


def problems(root: Path) -> list[str]:
    """Return one line saying that the page is stale, or nothing where it is current."""
    page = root / PAGE
    if page.is_file() and page.read_text(encoding="utf-8") == render(root):
        return []
    return [f"{PAGE} is not what the lock, Python and settings give; {lock.MEND}"]


def variable(name: str, field: FieldInfo) -> str:
    """Return the environment variable that sets the field `name` of Settings."""
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return f"{Settings.model_config['env_prefix']}{name}".upper()


def _lines(root: Path) -> Iterator[str]:
    pyproject = load_toml(root / "pyproject.toml")
    project = pyproject["project"]
    runtime, training, development = (lock.export(root, group) for group in (*lock.RUNTIME, "dev"))
    yield _INTRO
    yield from _table("what", "version")
    yield f"| Python | {read_file(root / '.python-version').decode().strip()} |"
    yield f"| Pythons that the lock holds for | {project['requires-python']} |"
    yield f"| SHA-256 of poetry.lock | `{sha256_file(root / 'poetry.lock')[:16]}` |"
    yield f"| runtime packages | {len(runtime)} |"
    yield f"| with training | {_count(runtime, training)} |"
    yield f"| with development | {_count(runtime, training, development)} |"
    yield "\n## Runtime packages\n"
    yield "Where a package depends on the machine, the lock says which ones take it.\n"
    yield from _packages(runtime, project["dependencies"])
    groups = {
        name: [entry for entry in group if isinstance(entry, str)]
        for name, group in pyproject.get("dependency-groups", {}).items()
    }
    for title, group, pins in (
        ("For training", "train", training),
        ("Development tools", "dev", development),
    ):
        asked = groups.pop(group, [])
        yield f"\n## {title}\n"
        yield from _packages(_direct(pins, asked), asked)
    yield "\n## Optional groups\n"
    yield "The lock holds them all. Installed are those that `groups` in pyproject.toml's"
    yield "`[tool.groundwork]` lists; an answer, where the framework has the choice, puts one there"
    yield "and brings the files that use it: [how to](how-to/packages-and-updates.md#options).\n"
    yield from _table("group", "answer", "asked for", "packages beside those above")
    usual = {pin.name for pin in (*runtime, *training, *development)}
    for name, declared in groups.items():
        pins = lock.export(root, name)
        named = [f"{pin.name} {pin.version}" for pin in _direct(pins, declared)]
        answer = f"`{_ANSWERS[name]}`" if name in _ANSWERS else ""
        more = len({pin.name for pin in pins} - usual)
        yield f"| {name} | {answer} | {', '.join(named) or 'nothing'} | {more} |"
    yield "\n## Settings\n"
    yield "Set as environment variables, or in `.env`; `.env.example` has them all.\n"
    yield from _table("variable", "default", "meaning")
    for name, field in Settings.model_fields.items():
        yield f"| `{variable(name, field)}` | {_default(field)} | {field.description} |"


def _table(*columns: str) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"


def _count(*exports: list[lock.Pin]) -> int:
    return len({pin.name for export in exports for pin in export})


def _direct(pins: list[lock.Pin], declared: list[str]) -> list[lock.Pin]:
    """Return the pins of the packages that are asked for by name."""
    names = {canonicalize_name(Requirement(entry).name) for entry in declared}
    return [pin for pin in pins if pin.name in names]


def _packages(pins: list[lock.Pin], declared: list[str]) -> Iterator[str]:
    ranges = {}
    for entry in map(Requirement, declared):
        ranges[canonicalize_name(entry.name)] = f"`{entry.specifier}`"
    yield from _table("package", "version", "asked for")
    for pin in sorted(pins, key=lambda pin: (pin.name, pin.version)):
        yield f"| {pin.name} | {pin.version} | {ranges.get(canonicalize_name(pin.name), '')} |"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if field.default_factory is not None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
