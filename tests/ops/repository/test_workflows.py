"""The workflows: pinned, allowed little, and nothing in them that cannot be run by hand."""

import re
from pathlib import Path

import pytest
import yaml

from ..conftest import ROOT

# The standard's; what others do is your affair.
WORKFLOWS = [
    ROOT / ".github" / "workflows" / f"{name}.yml"
    for name in ("ci", "release", "retrain", "update-check")
]


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_there_are_workflows_that_call_the_scripts():
    called = {path.stem: {step.get("run", "").split(" ")[0] for step in steps(path)}
              for path in WORKFLOWS}  # fmt: skip
    checks = {f"scripts/{name}.sh" for name in ("setup", "test", "build")}
    assert called["ci"] >= {*checks, "scripts/lock.sh"}
    assert called["release"] >= checks
    assert "scripts/setup.sh" in called["retrain"]
    assert "scripts/update.sh" in called["update-check"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_actions_are_pinned_by_commit(self, workflow):
        used = re.findall(r"uses: *(.+)", workflow.read_text(encoding="utf-8"))
        assert used
        for action in used:
            assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)

    def test_it_may_do_little(self, workflow):
        content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        assert content["permissions"] == {"contents": "read"}
        for job in content["jobs"].values():
            assert job["timeout-minutes"] <= 60

    def test_checkout_leaves_no_credentials(self, workflow):
        checkouts = [step for step in steps(workflow) if "checkout" in step.get("uses", "")]
        assert checkouts
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)

    def test_it_only_calls_what_runs_anywhere(self, workflow):
        """A check that lives in a workflow cannot be run before pushing."""
        for step in steps(workflow):
            if command := step.get("run"):
                program = command.split()[0]
                assert program in {"buildah", "gh", "git", "sed", "touch"} or program.startswith(
                    ("scripts/", ".venv/bin/")
                )
                assert not program.startswith("scripts/") or (ROOT / program).is_file()

    def test_no_expression_reaches_a_shell(self, workflow):
        assert not any("${{" in step.get("run", "") for step in steps(workflow))


def test_an_image_is_signed_only_after_it_was_scanned_with_the_exceptions():
    """What `weak_exceptions` checks is what the scan reads; a failure ends the job."""
    release = yaml.safe_load(WORKFLOWS[1].read_text(encoding="utf-8"))["jobs"]
    (image,) = (job["steps"] for job in release.values() if "packages" in job["permissions"])
    used = [re.split("[/@]", step.get("uses", "/"))[1] for step in image]
    scan = used.index("osv-scanner-action")
    arguments = image[scan]["with"]["scan-args"].split()
    assert arguments == [
        *("scan", "image", "--config=osv-scanner.toml", "--archive", "dist/image/image.tar")
    ]
    assert not any("continue-on-error" in step for step in image)
    signed = [used.index(name) for name in ("attest-build-provenance", "attest-sbom")]
    assert scan < min(signed)
    for step in (image[number]["with"] for number in signed):
        assert step["push-to-registry"] is True
        assert step["subject-digest"] == "${{ steps.image.outputs.digest }}"
