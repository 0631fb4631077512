"""A project that Groundwork rendered: its scripts set it up, and it has a digest of its model."""

from pathlib import Path

ANSWERS = ".copier-answers.yml"
_DIGEST = "var/digest.txt"
# A library writes a model's file differently each time; the digest is equal if the models are.
OUTPUTS = (
    "data/*",
    _DIGEST,
    "var/artifacts/*/artifacts/metrics.json",
    "var/artifacts/*/artifacts/golden.json",
)


def is_project(folder: Path) -> bool:
    """Tell whether a folder has what every such project has."""
    return (
        (folder / ANSWERS).is_file()
        and (folder / "scripts/setup.sh").is_file()
        and any(folder.glob("src/*/ops/training"))
    )


def command_line(folder: Path) -> str:
    """Return the command that prepares the data, trains, and leaves the digest in a file."""
    (package,) = sorted(folder.glob("src/*/ops/training"))[:1]
    program = f".venv/bin/{package.parents[1].name.replace('_', '-')}"
    return (
        f"{program} prepare && {program} train >var/train.out && cat var/train.out"
        f" && sed -n '/^digest: /p' var/train.out >{_DIGEST} && test -s {_DIGEST}"
    )
