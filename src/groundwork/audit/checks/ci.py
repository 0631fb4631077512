"""Checks of CI: a machine checks every change, the same way each time."""

import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.documents import CI as KIND
from groundwork.audit.readers.documents import Mapping, mapping
from groundwork.audit.readers.shell import commands, unpinned
from groundwork.audit.readers.workflows import Step
from groundwork.audit.repository import Audited


class CI(Check):
    """A check of this family."""

    family = "ci"
    reads = frozenset({KIND})
    requires = frozenset({"CI101"})

    def applies(self, repo: Audited) -> bool:
        """Return whether there is a file of CI that is parsed."""
        return bool(repo.workflows)

    def steps(self, repo: Audited) -> Iterator[Step]:
        """Yield the steps of all files."""
        for workflow in repo.workflows:
            yield from workflow.steps


class HasCI(CI):
    """There is CI."""

    id = "CI101"
    reason = "Without it the only machine on which everything works is its author's."
    mend = "Add a workflow that installs from the lock and runs the tests on every change."
    command = "$EDITOR .github/workflows/ci.yml"
    days = 1
    requires = frozenset()

    def applies(self, repo: Audited) -> bool:
        """Return whether there is code."""
        return bool(repo.modules or repo.notebooks)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether there is no file of any service."""
        broken = any(kind == KIND for kind, _ in repo.files.unread.values())
        if not repo.ci_text and not broken:
            yield Finding("", 0, "no workflow of GitHub, GitLab or another service")


class RunsTests(CI):
    """CI runs the tests."""

    id = "CI102"
    reason = "Tests that run when somebody remembers are red when they are needed."
    mend = "Add the command that runs the tests to a job that every change starts."
    command = "pytest"
    requires = frozenset({"CI101", "TS101"})
    RUNS = re.compile(
        r"py\.?test|unittest|\btox\b|\bnox\b|hatch (run )?test|manage\.py test|nosetests|"
        r"(make|just|task|invoke|inv|poe|rye|run)[ \t]+[\w:. -]*(test|check|ci\b)|"
        r"[\w/.-]*tests?\.sh|\bnbmake|bazel test|reusable.*test|test.*reusable",
        re.IGNORECASE,
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether there is CI."""
        return bool(repo.ci_text)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no command of CI does, nor a script that it calls."""
        if not any(self.RUNS.search(one) for one in _called(repo)):
            path = repo.workflows[0].path if repo.workflows else ""
            yield Finding(path, 1 if path else 0, "no command that runs tests")


def _called(repo: Audited) -> list[str]:
    """Return the text of CI and of what it names: scripts, and files of other services' jobs."""
    found, left = [repo.ci_text], dict(repo.scripts)
    left |= {path: repo.text(path) for path in repo.files.named("*.y*ml") if "/" in path}
    for text in found:  # it grows meanwhile
        named = [one for one in left if one in text or f"/{one.rpartition('/')[2]}" in text]
        found += [left.pop(path) for path in named]
    return found


class ActionsPinned(CI):
    """Actions of others are named by their commit."""

    id = "CI103"
    reason = "Whoever can move a tag of an action runs code with this repository's tokens."
    mend = "Write the commit and the version behind it; Renovate and Dependabot move both."
    command = "uvx zizmor --fix=all .github"
    link = (
        "https://docs.github.com/en/actions/reference/security/secure-use#using-third-party-actions"
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether a workflow uses any action."""
        return any(one.uses for one in self.steps(repo))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return actions of others without one, and any that follows a branch."""
        for step in self.steps(repo):
            name, _, version = step.uses.partition("@")
            if not step.uses or name.startswith(("./", "docker://")):
                continue
            official = name.startswith(("actions/", "github/"))
            commit = re.fullmatch(r"[0-9a-f]{40}", version)
            numbered = re.fullmatch(r"(release/)?v?\d[\w.-]*", version)
            if not commit and not (official and numbered):
                why = "follows a tag" if numbered else "follows a branch"
                yield Finding(step.path, step.line, f"{step.uses} {why}")


class InstallsFixed(CI):
    """What CI installs has a version."""

    id = "CI104"
    reason = "A linter's new release then turns an unchanged commit red, or a test green."
    mend = "Install from the lock, which has the tools as well."
    command = "uv sync --locked"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return packages of pip and conda without one; what installs others is left out."""
        for step in self.steps(repo):
            for offset, command in commands(step.run):
                for name in unpinned(command):
                    line = step.line + offset + (1 if "\n" in step.run else 0)
                    yield Finding(step.path, line, f"installs {name} without a version")


class PythonChosen(CI):
    """CI says which Python it uses."""

    id = "CI105"
    reason = "`3.x` and a machine's own Python are another one by next year."
    mend = "Give `python-version` or `python-version-file` to setup-python."
    command = "$EDITOR .github/workflows"
    days = 0.25

    def applies(self, repo: Audited) -> bool:
        """Return whether setup-python is used."""
        return any("setup-python@" in one.uses for one in self.steps(repo))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return steps that leave the version open."""
        for step in self.steps(repo):
            if "actions/setup-python@" in step.uses:
                options = step.options or Mapping()
                version = str(
                    options.get("python-version") or options.get("python-version-file") or ""
                )
                if version in {"", "3", "3.x"} and not repo.files.has(".python-version"):
                    yield Finding(step.path, step.line, "setup-python leaves the version open")


class PermissionsBounded(CI):
    """A workflow says which permissions it needs."""

    id = "CI106"
    reason = "By default a token may write to the whole repository, in many organisations."
    mend = "Write `permissions: {contents: read}` at the top, and more where a job needs it."
    command = "uvx zizmor .github"
    days = 0.25
    link = "https://docs.github.com/en/actions/reference/security/secure-use"

    def applies(self, repo: Audited) -> bool:
        """Return whether there is a workflow of GitHub."""
        return any(one.kind == "GitHub" for one in repo.workflows)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return workflows with a job that has none."""
        for workflow in repo.workflows:
            document = workflow.document
            if workflow.kind != "GitHub" or document is None or "permissions" in document:
                continue
            jobs = mapping(document.get("jobs"))
            without = [name for name, job in jobs.items() if "permissions" not in mapping(job)]
            if without:
                told = f"no permissions are set for {', '.join(map(str, without))}"
                yield Finding(workflow.path, getattr(jobs[without[0]], "line", 1), told)


class Watched(CI):
    """Updates and known vulnerabilities are reported."""

    id = "CI107"
    reason = (
        "Locked versions stay as they are, and so do their vulnerabilities, until someone looks."
    )
    mend = "Switch Dependabot or Renovate on, or let CI run osv-scanner or pip-audit."
    command = "$EDITOR .github/dependabot.yml"
    FILES = (
        *(".github/dependabot.y*ml", "renovate.json*", ".github/renovate.json*", ".renovaterc*"),
        *(".pyup.yml", ".snyk", "*renovate.json*"),
    )
    COMMANDS = re.compile(
        r"pip-audit|osv-scanner|safety (check|scan)|trivy|snyk|grype|dependency-review|renovate|"
        r"Dependency-Scanning|dependency_scanning"
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether there is CI, and something to watch."""
        return bool(repo.ci_text and repo.manifests)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether there is neither."""
        if not repo.files.has(*self.FILES) and not self.COMMANDS.search(repo.ci_text):
            yield Finding("", 0, "no Dependabot, Renovate, osv-scanner or pip-audit")


CHECKS = (
    HasCI,
    RunsTests,
    ActionsPinned,
    InstallsFixed,
    PythonChosen,
    PermissionsBounded,
    Watched,
)
