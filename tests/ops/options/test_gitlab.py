"""The pipeline: pinned, allowed little, and nothing in it that cannot be run by hand."""

import re

import pytest
import yaml

from ..conftest import ROOT

KEYWORDS = {"stages", "workflow", "default", "variables", "include"}
PIPELINE = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))
JOBS = {name: job for name, job in PIPELINE.items() if name not in KEYWORDS}
CHECKS = [f"scripts/{name}.sh" for name in ("setup", "test", "build")]


def programs(job: dict) -> list[str]:
    return [command.split()[0] for command in job["script"]]


def test_the_jobs_call_the_scripts():
    assert set(JOBS) >= {"test", "package", "publish", "retrain", "update-check", "audit"}
    assert set(programs(JOBS["test"])) == {*CHECKS, "scripts/lock.sh"}
    assert programs(JOBS["package"]) == CHECKS
    assert programs(JOBS["retrain"])[0] == "scripts/setup.sh"
    assert programs(JOBS["update-check"]) == programs(JOBS["audit"]) == ["scripts/update.sh"]


def test_it_only_calls_what_runs_anywhere():
    """A check that lives in a pipeline cannot be run before pushing."""
    for job in JOBS.values():
        assert not {"before_script", "after_script"} & (job.keys() | PIPELINE["default"].keys())
        for program in programs(job):
            # The scanner's image has it there; the docs say how to run it elsewhere.
            known = {"echo", "test", "sed", "touch", "/osv-scanner"}
            known |= {"apk", "apt-get", "buildah", "cosign"}  # of an image, and how to get them
            assert program in known or program.startswith(("scripts/", ".venv/bin/"))
            assert not program.startswith("scripts/") or (ROOT / program).is_file()


def test_images_are_pinned():
    """By exact version until Renovate has added the digest; and the Python is the project's."""
    parts = [PIPELINE["default"], *JOBS.values()]
    images = [part["image"] for part in parts if "image" in part]
    for image in (one if isinstance(one, str) else one["name"] for one in images):
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", image)
    python = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert images[0].startswith(f"python:{python}.")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_says_when_it_runs(name):
    limit = JOBS[name].get("timeout", PIPELINE["default"]["timeout"])
    assert int(re.fullmatch(r"(\d+) minutes", limit)[1]) <= 60
    assert JOBS[name]["rules"]
    assert JOBS[name]["stage"] in PIPELINE["stages"]


def test_what_must_not_be_cut_short_or_run_twice_at_once_is_not():
    assert PIPELINE["workflow"]["auto_cancel"] == {"on_new_commit": "interruptible"}
    assert PIPELINE["default"]["interruptible"] is False
    checks = {"test", "update-check", "audit", "vulnerabilities"}
    assert {name for name in JOBS if JOBS[name].get("interruptible")} == checks
    assert {name for name in JOBS if "resource_group" in JOBS[name]} == {
        *("build-image", "package", "retrain")
    }


def test_a_release_is_built_without_a_cache_and_published_without_the_code():
    assert [name for name in JOBS if "cache" in JOBS[name]] == ["test"]
    assert [name for name in JOBS if "release" in JOBS[name]] == ["publish"]
    assert JOBS["publish"]["variables"] == {"GIT_STRATEGY": "none"}
    assert [need["job"] for need in JOBS["publish"]["needs"]] == ["package"]
    for link in JOBS["publish"]["release"]["assets"]["links"]:
        assert link["url"].endswith("?job=package")
    for name in ("package", "publish"):
        assert JOBS[name]["rules"] == [{"if": "$CI_COMMIT_TAG =~ /^v/"}]


def test_an_image_is_signed_only_after_it_was_scanned_with_the_exceptions():
    assert "--config=osv-scanner.toml" in JOBS["scan-image"]["script"][-1]
    assert not any("allow_failure" in job for job in JOBS.values())
    assert set(JOBS["sign-image"]["needs"]) == {"build-image", "scan-image"}
    assert JOBS["sign-image"]["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}
    signing = [one for one in JOBS["sign-image"]["script"] if one.startswith("cosign")]
    assert len(signing) == 2
    assert all('"$(cat dist/image/pushed)"' in one for one in signing), "by the digest"
