"""The registry: only what does not exist is none; what cannot be read is an error."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, PERMISSION_DENIED

from ..project import errors, registry, runs, train

FAILURES = [
    MlflowException("you may not read this", PERMISSION_DENIED),
    MlflowException("the database is gone", INTERNAL_ERROR),
    OSError(111, "Connection refused"),
]


@pytest.fixture
def client(workplace):
    return runs.connect(workplace.config)


@pytest.fixture(params=FAILURES, ids=["no permission", "internal error", "no connection"])
def failing(request, client, monkeypatch):
    """A client whose registry answers nothing but an error."""

    def fail(*_args, **_kwargs):
        raise request.param

    for name in ("get_registered_model", "get_model_version", "get_model_version_by_alias"):
        monkeypatch.setattr(client, name, fail)
    return client


pytestmark = pytest.mark.xdist_group("workplace")


def test_a_registry_that_cannot_be_read_has_no_champion_to_pass(workplace, failing):
    with pytest.raises(errors.UserError, match="MLflow: "):
        train.champion_metric(workplace.config, failing, workplace.trained.manifest)


def test_nothing_is_registered_where_the_registry_cannot_be_read(workplace, failing, monkeypatch):
    made = []
    monkeypatch.setattr(failing, "create_registered_model", made.append)
    with pytest.raises(errors.UserError, match="MLflow: "):
        registry.register(workplace.config, failing, "r", workplace.trained.manifest, "b")
    assert made == []


@pytest.mark.parametrize("reference", ["champion", "1"])
def test_resolving_says_why_it_could_not(workplace, failing, reference):
    with pytest.raises(errors.UserError, match="MLflow: ") as caught:
        registry.resolve(workplace.config, reference, failing)
    assert "has no" not in str(caught.value)


@pytest.mark.parametrize("reference", ["nobody", "999"])
def test_what_does_not_exist_is_said_to_be_missing(workplace, client, reference):
    with pytest.raises(errors.UserError, match=r"has no .*; there are \d"):
        registry.resolve(workplace.config, reference, client)


def test_an_unknown_version_is_answered_with_those_there_are(workplace, client):
    with pytest.raises(errors.UserError, match=r"no version 999; there are .*1 \(.*champion.*\)"):
        registry.resolve(workplace.config, "999", client)


def test_a_full_disk_is_not_blamed_on_mlflow(workplace, client, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device", "/a/file")

    monkeypatch.setattr(client, "get_registered_model", full)
    with pytest.raises(OSError, match="No space left"):
        registry.aliases(workplace.config, client)


def test_a_champion_without_a_readable_manifest_is_evaluated_again(workplace, client, monkeypatch):
    def unreadable(*_args):
        raise runs.UnreadableManifestError("its manifest is damaged")

    monkeypatch.setattr(runs, "manifest_of", unreadable)
    lines = []
    manifest = workplace.trained.manifest
    found = train.champion_metric(workplace.config, client, manifest, lines.append)
    assert found == pytest.approx(manifest.metrics[workplace.config.params.gate.metric], abs=1e-3)
    assert lines == ["the champion is evaluated again: its manifest is damaged"]


def test_a_champion_whose_store_fails_stops_the_training(workplace, client, monkeypatch):
    def fail(*_args):
        raise MlflowException("the store is gone", INTERNAL_ERROR)

    monkeypatch.setattr(client, "download_artifacts", fail)
    with pytest.raises(errors.UserError, match="MLflow: the store is gone"):
        train.champion_metric(workplace.config, client, workplace.trained.manifest)


def test_without_a_registered_model_there_is_no_alias(workplace, client):
    other = workplace.config.model_copy(update={"model_name": "never-registered"})
    assert registry.aliases(other, client) == {}
