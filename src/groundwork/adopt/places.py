"""Where an adoption puts things."""

BRANCH = "groundwork-adopt"
# Where a file goes whose place the standard takes.
FOLDER = "adopted"
REPORT = f"{FOLDER}/REPORT.md"
# YAML that yamllint does not look at.
NOT_LINTED = ".yamlignore"


def below_tests(name: str) -> bool:
    """Say whether a file is one of the project's tests."""
    return name.startswith("tests/")
