"""Signed versions: with a file of signers, only what one of them signed is deployed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ..conftest import free_port
from ..project import commands, deploy, errors, local, registry, release, runs, settings, signing
from . import test_deploy

pytestmark = pytest.mark.xdist_group("workplace")


def key(folder: Path, name: str) -> Path:
    """Make a key of somebody's own."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("not installed: ssh-keygen")
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def signer(tmp_path):
    return key(tmp_path, "signer")


@pytest.fixture
def config(workplace, tmp_path, signer):
    """The workplace's settings, with one signer and a var folder for deployments."""
    signers = tmp_path / "signers"
    signers.write_text(f"signer@example.com {signer.with_suffix('.pub').read_text()}")
    given = {"tracking_uri": workplace.config.tracking_uri, "signing_key": str(signer)}
    return settings.settings(var_dir=tmp_path / "var", signers=str(signers), **given)


@pytest.fixture
def champion(config):
    """The champion, whose tags are put back at the end."""
    client, version = runs.connect(config), registry.resolve(config, "champion")
    yield version
    for tag in ("digest", "commit", "bundle"):
        client.set_model_version_tag(version.name, version.number, tag, getattr(version, tag))
    client.delete_model_version_tag(version.name, version.number, "signature")


def tag(config, version, name, value):
    runs.connect(config).set_model_version_tag(version.name, version.number, name, value)


def unsigned(config, champion, _folder):
    tag(config, champion, "signature", "")


def by_somebody_else(config, champion, folder):
    other = config.model_copy(update={"signers": "", "signing_key": str(key(folder, "other"))})
    assert registry.sign(other, str(champion.number)).signature


def changed(name):
    def change(config, champion, _folder):
        registry.sign(config, "champion")
        tag(config, champion, name, "0" * 40)

    return change


def moved(config, champion, _folder):
    other = registry.replace(champion, number=champion.number + 1)
    tag(config, champion, "signature", signing.sign(config, other).signature)


def of_another_purpose(config, champion, folder):
    """What the signer signed for git is no release, even if it is the same text."""
    message = folder / "message"
    message.write_text(signing._message(champion))
    made = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", config.signing_key, message]
    subprocess.run(made, check=True)
    tag(config, champion, "signature", message.with_suffix(".sig").read_text())


def damaged(config, champion, _folder):
    tag(config, champion, "signature", "-----BEGIN SSH SIGNATURE-----\nno\n")


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (unsigned, r"version \d+ is not signed; have a signer check it and run `.* sign \d+`$"),
        (by_somebody_else, r"version \d+ is signed by no key of .*signers; have a signer"),
        (changed("bundle"), "has a signature of something else: its tags were changed"),
        (changed("digest"), "has a signature of something else: its tags were changed"),
        (changed("commit"), "has a signature of something else: its tags were changed"),
        (moved, "or it was moved here; have a signer"),
        (of_another_purpose, "has a signature of something else"),
        (damaged, r"version \d+ is signed by no key of .*signers; have a signer"),
    ],
)
def test_what_no_signer_vouches_for_is_neither_deployed_nor_built(
    config, champion, tmp_path, happens, says
):
    happens(config, champion, tmp_path)
    driver = local.Local(config)
    with pytest.raises(errors.UserError, match=says):
        deploy.deploy(driver, "champion")
    assert (driver.releases.kept(), driver.status()["state"]) == ([], "stopped")
    with pytest.raises(errors.UserError, match=says):
        registry.export(config, "champion", tmp_path / "image")
    assert not (tmp_path / "image").exists()


class Driver(test_deploy.Driver):
    """Tiny services as releases, of a version that is resolved as a real driver does."""

    def build(self, number, reference):
        self.releases.resolve("champion")
        return super().build(number, reference)


def test_the_old_release_goes_on_where_the_next_is_not_signed(config, champion, monkeypatch):
    monkeypatch.setattr(local, "STEADY_SECONDS", 0.3)
    changes = {"port": free_port(), "canary_seconds": 0}
    driver = Driver(config.model_copy(update=changes))
    registry.sign(config, "champion")
    try:
        deploy.deploy(driver, "abcd")
        tag(config, champion, "signature", "")
        with pytest.raises(errors.UserError, match="is not signed"):
            deploy.deploy(driver, "abcd")
        assert test_deploy.ask(driver) == 1.0
        last = test_deploy.last(driver)
        assert (last["outcome"], driver.releases.kept()) == ("failed", [1])
        assert "is not signed" in last["reason"]
    finally:
        driver.stop()


def test_every_driver_of_the_project_asks_for_a_signature(config, champion):
    pushed = config.model_copy(update={"image": f"model@sha256:{'0' * 64}"})
    found = deploy.drivers(pushed)
    assert "local" in found
    for driver in found.values():
        with pytest.raises(errors.UserError, match=f"version {champion.number} is not signed"):
            driver.build(1, "champion")


def test_what_a_signer_signed_is_deployed_and_built(config, champion, tmp_path):
    signed = registry.sign(config, "champion")
    assert len(signed.signature) < 500  # of the 5,000 characters that an older MLflow keeps
    found = release.Releases(config, tmp_path / "releases").resolve(str(champion.number))
    assert found == signed
    registry.export(config, "champion", tmp_path / "image")
    made = json.loads((tmp_path / "image" / "release.json").read_text())
    assert made["bundle"] == champion.bundle


def test_nothing_is_verified_without_a_file_of_signers(config, champion, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    free = config.model_copy(update={"signers": ""})
    assert release.Releases(free, tmp_path / "releases").resolve("champion") == champion


def test_the_command_signs_with_the_settings_key(config, champion, signer, monkeypatch, capsys):
    for name in ("tracking_uri", "var_dir", "signers"):
        monkeypatch.setenv(f"ML_{name.upper()}", str(getattr(config, name)))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", config.tracking_uri)
    monkeypatch.delenv("ML_SIGNING_KEY", raising=False)
    with pytest.raises(SystemExit, match="error: set ML_SIGNING_KEY to your SSH key"):
        commands.main(["sign", "champion"])
    monkeypatch.setenv("ML_SIGNING_KEY", str(signer))
    with pytest.raises(SystemExit) as ended:
        commands.main(["sign", "champion"])
    assert not ended.value.code
    assert capsys.readouterr().out.startswith(f"signed: version {champion.number}, digest ")
    signing.verify(config, registry.resolve(config, "champion"))


def test_who_is_not_in_the_file_of_signers_is_told_so_and_signs_nothing(config, champion, tmp_path):
    other = config.model_copy(update={"signing_key": str(key(tmp_path, "other"))})
    with pytest.raises(errors.UserError, match="is signed by no key of"):
        registry.sign(other, "champion")
    assert registry.resolve(config, "champion") == champion


def test_files_that_are_not_the_registered_ones_are_not_signed(config, champion):
    tag(config, champion, "bundle", "0" * 64)
    with pytest.raises(errors.UserError, match="are not those that were registered"):
        registry.sign(config, "champion")
    assert not registry.resolve(config, "champion").signature


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"signers": "nowhere"}, "there is no file .*nowhere, which ML_SIGNING_KEY or ML_SIGNERS"),
        ({"path": "/nonexistent"}, "signatures need ssh-keygen; install OpenSSH"),
    ],
)
def test_a_signature_that_cannot_be_verified_is_none(config, champion, monkeypatch, given, says):
    signed = signing.sign(config, champion)
    if "path" in given:
        monkeypatch.setenv("PATH", given["path"])
    with pytest.raises(errors.UserError, match=says):
        signing.verify(config.model_copy(update=given), signed)
