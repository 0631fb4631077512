"""A version's files are compared with what the registry says of them before any is loaded."""

import json

import pytest

from ..project import (
    bundle,
    commands,
    errors,
    explain,
    flavor,
    local,
    registry,
    runs,
    server,
    train,
)

pytestmark = pytest.mark.xdist_group("workplace")


def use(name, workplace, rows, folder):
    """Do what the command `name` does with the champion."""
    config = workplace.config
    match name:
        case "predict":
            bundle.predict_file(config, "champion", rows, folder / "out.csv")
        case "evaluate":
            commands.app(["evaluate"], standalone_mode=False)
        case "explain":
            explain.report(config, rows, 0, "", "champion")
        case "export":
            registry.export(config, "champion", folder)
        case "deploy":
            local.Local(config).build(1, "champion")
        case "serve":
            server.run(config, "champion")


@pytest.fixture(params=["predict", "evaluate", "explain", "export", "deploy", "serve"])
def command(request, workplace, inputs, tmp_path, monkeypatch):
    """What a command does with the champion, where it must not come to load it."""
    inputs.head(3).to_csv(tmp_path / "in.csv", index=False)
    monkeypatch.setattr(flavor, "load", pytest.fail)
    monkeypatch.setattr(server.handover, "bind", lambda *_: None)
    monkeypatch.setattr(workplace.config, "var_dir", tmp_path / "var")  # of releases
    return lambda: use(request.param, workplace, tmp_path / "in.csv", tmp_path)


@pytest.fixture
def stored(workplace):
    """The champion's files in MLflow's store, restored after the test."""
    client = runs.connect(workplace.config)
    version = registry.resolve(workplace.config, "champion", client)
    folder = workplace.config.var_dir / "artifacts" / version.run_id / "artifacts"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield folder
    for path in folder.rglob("*"):
        if path.is_file() and path not in before:
            path.unlink()
    for path, content in before.items():
        path.write_bytes(content)


def loosened(content):
    return json.dumps({**json.loads(content), "tolerance": 1e9}).encode()


def other_scores(content):
    kept = json.loads(content)
    return json.dumps({**kept, "scores": kept["scores"][::-1]}).encode()


WRONG = {
    "model swapped": (flavor.FILE, lambda content: content[::-1]),
    "model truncated": (flavor.FILE, lambda content: content[:100]),
    "golden rows forged": ("golden.json", other_scores),
    "tolerance forged": ("golden.json", loosened),
    "reference truncated": ("reference.json", lambda content: content[:-10]),
    "manifest forged": ("provenance.json", lambda content: content.replace(b"0", b"1")),
    "MLmodel forged": ("MLmodel", lambda content: content + b"code: code\n"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_changed_file_is_refused_before_it_is_loaded(workplace, stored, command, wrong):
    name, change = WRONG[wrong]
    (path,) = stored.rglob(name)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(errors.UserError, match="are not those that were registered") as caught:
        command()
    assert "\n" not in str(caught.value)


def test_a_file_too_many_is_refused(workplace, stored, command):
    (stored / "model" / "code.py").write_text("print()")
    with pytest.raises(errors.UserError, match="are not those that were registered"):
        command()


@pytest.mark.parametrize("tag", ["bundle", "digest", "commit"])
@pytest.mark.parametrize("value", ["0" * 64, None])
def test_a_forged_or_missing_tag_is_refused(workplace, command, tag, value):
    client = runs.connect(workplace.config)
    version = registry.resolve(workplace.config, "champion", client)
    at = (version.name, str(version.number), tag)
    try:
        if value is None:
            client.delete_model_version_tag(*at)
        else:
            client.set_model_version_tag(*at, value)
        with pytest.raises(errors.UserError, match=r"not those that were|no tag|without a commit"):
            command()
    finally:
        client.set_model_version_tag(*at, getattr(version, tag))


def test_a_version_that_nothing_vouches_for_is_registered_anew(workplace, tmp_path):
    """Those of an older standard have no such tag."""
    client = runs.connect(workplace.config)
    version = registry.resolve(workplace.config, "champion", client)
    client.delete_model_version_tag(version.name, str(version.number), "bundle")
    try:
        trained = train.train(workplace.config)
        assert trained.version.number > version.number
        folder = registry.fetch(workplace.config, trained.version, tmp_path)
        assert bundle.load_bundle(folder).manifest == trained.manifest
    finally:
        client.set_model_version_tag(version.name, str(version.number), "bundle", version.bundle)
