"""Checkov's rules on the images and on what deploy/kubernetes makes. It has none for Compose."""

import json
import os
import subprocess
from pathlib import Path
from shutil import copy2

import pytest
import yaml

from tests.conftest import copy_template
from tests.containers import checked, need, run
from tests.projects import tools

pytestmark = pytest.mark.slow

# What is not followed, by rule and kind of object, and why.
EXCEPTIONS = {
    ("CKV_DOCKER_7", "Dockerfile"): "the base is an argument, whose default has a tag and a digest",
    ("CKV_K8S_14", "Deployment"): "deploy.sh names the image of each release, by its digest",
    ("CKV_K8S_43", "Deployment"): "deploy.sh names the image of each release, by its digest",
    ("CKV_K8S_43", "CronJob"): "the owner names the image of retraining, with the tag of a commit",
    ("CKV_K8S_15", "CronJob"): "that tag never moves, so another pull would give the same image",
    ("CKV_K8S_35", "CronJob"): "MLflow, git and boto3 read their credentials from variables",
}


def kind(failed: dict[str, str]) -> str:
    """Return the kind of object that a check failed on: CronJob.namespace.name, or the file."""
    return "Dockerfile" if "Dockerfile" in failed["file_path"] else failed["resource"].split(".")[0]


def failures(checkov: Path, folder: Path) -> set[tuple[str, str]]:
    """Return the rules that files do not follow, each with the kind of object."""
    command = [checkov, "--directory", folder, "--framework", "kubernetes", "dockerfile",
               "--skip-download", "--output", "json", "--quiet"]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    reports = json.loads(done.stdout)
    assert {one["check_type"] for one in reports} == {"kubernetes", "dockerfile"}
    assert all(one["summary"]["passed"] > 250 for one in reports)
    assert not any(one["summary"]["parsing_errors"] for one in reports)
    found = (failed for one in reports for failed in one["results"]["failed_checks"])
    return {(failed["check_id"], kind(failed)) for failed in found}


def test_images_and_manifests_pass_checkov(template: Path, tmp_path: Path) -> None:
    need("kubectl")
    checkov = tools(tmp_path / "tools", "checkov==3.3.30") / "checkov"
    project = copy_template(template, tmp_path / "p", deploy=["compose", "kubernetes"])
    made = tmp_path / "made"
    for overlay in ("staging", "production"):
        command = ["kubectl", "kustomize", project / "deploy/kubernetes" / overlay]
        (made / overlay).mkdir(parents=True)
        (made / overlay / "all.yaml").write_text(checked(run(command, dict(os.environ))), "utf-8")
    copy2(project / "Dockerfile", made)
    assert failures(checkov, made) == {*EXCEPTIONS}

    manifest = made / "production/all.yaml"
    objects = list(yaml.safe_load_all(manifest.read_text("utf-8")))
    (service,) = (one for one in objects if one["kind"] == "Deployment")
    service["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    manifest.write_text(yaml.safe_dump_all(objects), "utf-8")
    with (made / "Dockerfile").open("a", encoding="utf-8") as recipe:
        recipe.write("\nUSER root\n")
    noticed = failures(checkov, made) - {*EXCEPTIONS}
    assert {("CKV_K8S_16", "Deployment"), ("CKV_DOCKER_8", "Dockerfile")} <= noticed
