"""The driver of Docker Compose, as far as no engine is needed; tests/delivery has one."""

import json
import os
from dataclasses import dataclass

import pytest

from ..project import compose, errors, registry, settings

COMMIT, DIGEST = "c" * 40, "d" * 64
LABELS = {"org.opencontainers.image.revision": COMMIT, "org.groundwork.model.digest": DIGEST}


@dataclass
class Tools:
    """Programs docker and docker-compose, first on PATH; `called` has their arguments."""

    folder: os.PathLike

    def make(self, name, script):
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >>"{self.folder}/called"\n{script}\n')
        path.chmod(0o755)

    @property
    def called(self):
        return (self.folder / "called").read_text("utf-8").splitlines()


@pytest.fixture
def tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Tools(tmp_path)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    version = registry.Version("model", 3, "run", DIGEST, COMMIT, ())
    monkeypatch.setattr(registry, "resolve", lambda *_: version)
    return compose.Compose(settings.settings(var_dir=tmp_path / "var"))


def inspected(labels):
    """What `docker image inspect` prints."""
    return json.dumps([{"Id": "sha256:1234", "Config": {"Labels": labels}}])


@pytest.mark.parametrize(
    ("plugin", "used"), [("exit 0", "docker compose"), ("exit 1", "docker-compose")]
)
def test_docker_s_own_plugin_goes_before_the_older_command(driver, tools, plugin, used):
    tools.make("docker", plugin)
    tools.make("docker-compose", "exit 0")
    driver.stop()
    assert tools.called[-1].startswith(f"{used} --profile release rm ")


def test_the_image_of_a_version_is_released(driver, tools):
    tools.make("docker", f"echo '{inspected(LABELS)}'")
    assert driver.build(1, "champion").image == "sha256:1234"
    assert driver.releases.get(1).image == "sha256:1234"
    assert tools.called[-1].endswith("-release:3")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"org.opencontainers.image.revision": "e" * 40},
            "is of commit eeeeeeeeeeee, version 3 of",
        ),
        ({"org.groundwork.model.digest": "e" * 64}, "is of digest eeeeeeeeeeee, version 3 of"),
        (None, "is of commit unknown, version 3 of commit cccccccccccc"),
    ],
)
def test_an_image_of_another_commit_or_model_is_refused(driver, tools, changed, reason):
    labels = LABELS | changed if changed else None
    tools.make("docker", f"echo '{inspected(labels)}'")
    driver.settings.image = "elsewhere/image:1"
    with pytest.raises(errors.UserError, match=f"the image elsewhere/image:1 {reason}"):
        driver.build(1, "champion")
    assert driver.releases.kept() == []


def test_without_an_image_it_says_how_to_make_one(driver, tools):
    tools.make("docker", "echo 'Error: No such image: x' >&2; exit 1")
    reason = r"no image \S+:3; run scripts/build.sh --release 3"
    with pytest.raises(errors.UserError, match=reason):
        driver.build(1, "champion")


def test_an_engine_that_does_not_answer_is_not_taken_for_a_missing_image(driver, tools):
    tools.make("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(errors.UserError, match="Cannot connect"):
        driver.build(1, "champion")
