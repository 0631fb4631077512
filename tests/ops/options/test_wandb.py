"""The copy of each run in Weights & Biases: complete, offline, and never in the way."""

import json
import struct
from pathlib import Path
from time import monotonic, sleep

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from ..project import runs, schema, train, wandb_mirror

pytestmark = pytest.mark.xdist_group("workplace")


def records(path: Path) -> list[Record]:
    """What a .wandb file holds; its last is wandb's service's to write, after the run was ended."""
    until = monotonic() + 60
    while True:
        found = list(written(path))
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        assert monotonic() < until, "the run's end was never written"
        sleep(0.1)


def written(path: Path):
    """What is in it by now: LevelDB's log format, after a header of seven bytes."""
    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:  # a block's end, too short for a header
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        if at + 7 + length > len(content):
            return
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # a record that is whole, or its last part
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def values(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture
def copied(workplace, tmp_path, monkeypatch):
    """Train with a mirror, offline; return the training, and where the copy is."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = workplace.config.model_copy(update={"mirrors": ["wandb"]})
    trained = train.train(config, register=False)
    (path,) = (config.var_dir / "wandb").rglob(f"run-{trained.run_id}.wandb")
    return trained, path


def test_the_copy_has_the_run_s_params_metrics_and_steps(copied, workplace):
    trained, path = copied
    found: dict[str, object] = {}
    steps, ended = 0, None
    for record in records(path):
        match record.WhichOneof("record_type"):
            case "run":
                assert record.run.run_id == trained.run_id
            case "config":
                found |= values(record.config.update)
            case "summary":
                found |= values(record.summary.update)
            case "history":
                steps += any("fit." in "".join(i.nested_key) for i in record.history.item)
            case "exit":
                ended = record.exit.exit_code
    assert ended == 0
    assert found["model_digest"] == trained.manifest.model_digest
    assert found["commit"] == trained.manifest.code.commit
    assert found["seed"] == trained.manifest.seed
    assert found["model"] == trained.manifest.params["model"]
    for name, value in trained.manifest.metrics.items():
        assert found[name] == pytest.approx(value)
    client = runs.connect(workplace.config)
    logged = client.get_run(trained.run_id).data.metrics
    assert bool(steps) == any(name.startswith("fit.") for name in logged)


def test_the_copy_holds_nothing_personal_and_no_source(copied, split):
    _, path = copied
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    contents = b"".join(file.read_bytes() for file in files)
    assert not [file for file in files if file.suffix == ".py"]
    for name in schema.PERSONAL:
        for value in split.train[name].astype(str):
            assert value.encode() not in contents


@pytest.mark.parametrize("moment", ["__init__", "log", "files", "end"])
def test_a_mirror_that_fails_does_not_cost_the_run(workplace, monkeypatch, tmp_path, moment):
    def fail(*_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(wandb_mirror.Run, moment, fail)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    config = workplace.config.model_copy(update={"mirrors": ["wandb"]})
    client, said = runs.connect(config), []
    with runs.run(config, client, "test", said.append) as record:
        record.report(0, {"loss": 1.0})
        record.log(workplace.trained.manifest, train.dataset.read(config).manifest, {})
        record.files(tmp_path)
    assert client.get_run(record.run_id).info.status == "FINISHED"
    assert said == ["wandb has no copy of this run (no route to host); MLflow has it"]


def test_a_run_that_failed_is_marked_as_failed(workplace, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = workplace.config.model_copy(update={"mirrors": ["wandb"]})
    with (
        pytest.raises(ZeroDivisionError),
        runs.run(config, runs.connect(config), "test") as record,
    ):
        raise ZeroDivisionError
    (path,) = (config.var_dir / "wandb").rglob(f"run-{record.run_id}.wandb")
    codes = [one.exit.exit_code for one in records(path) if one.WhichOneof("record_type") == "exit"]
    assert codes == [1]
