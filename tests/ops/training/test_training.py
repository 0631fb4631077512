"""From data to a registered version and back: end to end, on a project of its own."""

import contextlib
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from .. import example
from ..project import (
    benchmark,
    bundle,
    data,
    dataset,
    errors,
    evaluation,
    explain,
    features,
    files,
    flavor,
    gate,
    golden,
    manifest,
    model,
    package,
    record,
    registry,
    reproduce,
    runs,
    schema,
    settings,
    train,
    tuning,
)

pytestmark = pytest.mark.xdist_group("training")


@pytest.fixture
def client(workplace):
    return runs.connect(workplace.config)


def test_a_training_is_logged_with_all_that_made_it(workplace, client):
    run = client.get_run(workplace.trained.run_id)
    manifest = workplace.trained.manifest
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.source.git.commit"] == manifest.code.commit
    assert run.data.params["seed"] == str(workplace.config.params.seed)
    assert manifest.metrics.items() <= run.data.metrics.items()
    used = {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs}
    assert {name: sha[:36] for name, sha in manifest.data.files.items()} == used
    assert runs.manifest_of(client, run.info.run_id) == manifest
    plots = {file.path for file in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {f"plots/{name}.png" for name in example.PLOTS}


def test_the_registered_model_is_the_run_s_with_the_lock_s_pins(workplace, tmp_path):
    version = registry.resolve(workplace.config, "champion")
    assert version.digest == workplace.trained.manifest.model_digest
    assert set(version.aliases) >= {"challenger", "champion"}
    loaded = bundle.load_bundle(registry.fetch(workplace.config, version, tmp_path))
    pins = (loaded.folder / "model" / "requirements.txt").read_text().split()
    folder = workplace.root / "requirements"
    locked = "".join((folder / f"{group}.txt").read_text() for group in ("main", "train"))
    assert len(pins) > 10
    assert all(f"\n{pin}" in f"\n{locked}" for pin in pins)
    assert loaded.manifest.model_digest in (loaded.folder / "model_card.md").read_text()


@pytest.mark.parametrize(
    ("doc", "line"), [(None, settings.NAME), ("\n    What it is.\n\n    More.\n", "What it is.")]
)
def test_the_card_says_what_the_model_is(workplace, monkeypatch, doc, line):
    monkeypatch.setattr(model, "__doc__", doc)
    assert bundle.card(workplace.trained.manifest, []).splitlines()[2] == line


def test_the_card_has_a_row_for_each_metric_whatever_its_name(workplace):
    named = {"slice.size.<5 | 5>\n.f1": 0.25}
    renamed = workplace.trained.manifest.model_copy(update={"metrics": named})
    weak = gate.Check(name="quality in size 1|2", passed=False, detail="a|b")
    card = bundle.card(renamed, [weak])
    assert card.endswith("| slice.size.&lt;5 \\| 5&gt; .f1 | 0.2500 |\n")
    assert "| quality in size 1\\|2 | **failed** | a\\|b |\n" in card


def test_mlflow_itself_can_load_the_registered_model(workplace, inputs, monkeypatch):
    from ..project import features

    # Not by mlflow.set_tracking_uri, which sets it for all tests that come after.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workplace.config.tracking_uri)
    x = features.features.build(inputs.head(5))
    scores = example.score_with_mlflow(f"models:/{workplace.config.model_name}@champion", x)
    version = registry.resolve(workplace.config, "champion")
    with bundle.fetched(workplace.config, version) as loaded:
        np.testing.assert_allclose(scores, model.predict(loaded.model, x), flavor.TOLERANCE)


def test_golden_rows_may_be_made_up_and_must_be_valid(workplace, inputs, monkeypatch):
    """Those of the holdout are somebody's."""
    made = inputs.tail(3).reset_index(drop=True)
    version = registry.resolve(workplace.config, "champion")
    with bundle.fetched(workplace.config, version) as loaded:
        assert bundle.golden_rows(loaded.model, inputs).inputs == golden.as_sent(inputs.head(8))
        monkeypatch.setattr(schema, "golden", lambda rows: made, raising=False)
        found = bundle.golden_rows(loaded.model, inputs)
        assert found.inputs == golden.as_sent(made)
        assert found.scores == bundle.score(loaded.model, made).tolist()
        made["unknown"] = 1
        with pytest.raises(errors.UserError, match=r"schema\.golden: column unknown: is not allow"):
            bundle.golden_rows(loaded.model, inputs)


def test_golden_scores_are_what_the_model_gives(workplace):
    version = registry.resolve(workplace.config, "champion")
    with bundle.fetched(workplace.config, version) as loaded:
        rows = dataset.check(pd.DataFrame(loaded.golden.inputs), schema.Inputs, "golden")
        assert bundle.score(loaded.model, rows).tolist() == loaded.golden.scores


def test_training_twice_registers_one_version(workplace, client):
    before = registry.versions(workplace.config, client)
    again = train.train(workplace.config)
    assert again.manifest.model_digest == workplace.trained.manifest.model_digest
    assert again.manifest.metrics == workplace.trained.manifest.metrics
    assert again.version.number == workplace.trained.version.number
    assert registry.versions(workplace.config, client) == before


def test_a_model_worse_than_the_champion_is_not_registered(workplace, monkeypatch, client):
    before = registry.versions(workplace.config, client)
    monkeypatch.setattr(train, "champion_metric", lambda *_: 1e6)
    worse = train.train(workplace.config)
    assert [check.name for check in worse.checks if not check.passed] == ["champion"]
    assert worse.version is None
    assert registry.versions(workplace.config, client) == before


def test_uncommitted_work_is_trained_but_not_registered(workplace, changed):
    name = next((workplace.root / "src").glob("*/model.py")).relative_to(workplace.root)
    changed(str(name), "\n", "\n# changed\n")
    trained = train.train(workplace.config)
    assert trained.version is None
    assert [check.name for check in trained.checks if not check.passed] == ["reproducible"]
    assert str(name) in "".join(check.detail for check in trained.checks)


def test_two_trainings_at_once_are_refused(workplace):
    with (
        FileLock(workplace.config.var_dir / "train.lock"),
        pytest.raises(errors.UserError, match="another training is running"),
    ):
        train.train(workplace.config)


def test_a_failed_training_leaves_no_version_and_a_failed_run(workplace, client, monkeypatch):
    before = registry.versions(workplace.config, client)

    def crash(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(evaluation, "run", crash)
    with pytest.raises(RuntimeError):
        train.train(workplace.config)
    monkeypatch.undo()
    experiment = client.get_experiment_by_name(workplace.config.experiment).experiment_id
    newest = client.search_runs([experiment], order_by=["attributes.start_time DESC"])[0]
    assert newest.info.status == "FAILED"
    assert registry.versions(workplace.config, client) == before


@pytest.mark.slow
def test_a_killed_training_can_be_run_again(workplace, client):
    before = registry.versions(workplace.config, client)
    process = subprocess.Popen(
        [sys.executable, "-m", package.__name__, "train"],
        cwd=workplace.root,
        stdout=subprocess.DEVNULL,
    )
    # Once it has begun its run, and so holds the lock and an open entry in MLflow.
    experiment = client.get_experiment_by_name(workplace.config.experiment).experiment_id
    while not client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = train.train(workplace.config)
    assert again.version.number == workplace.trained.version.number
    assert registry.versions(workplace.config, client) == before
    statuses = [run.info.status for run in client.search_runs([experiment])]
    assert "RUNNING" not in statuses


def test_the_champion_is_asked_again_when_the_holdout_changed(workplace, client, monkeypatch):
    recorded = workplace.trained.manifest
    metric = workplace.config.params.gate.metric
    assert train.champion_metric(workplace.config, client, recorded) == recorded.metrics[metric]
    other = recorded.model_copy(
        update={"data": manifest.Data(source="", files={record.HOLDOUT: "another"})}
    )
    asked = []

    def worker(python, project, *arguments, **_):
        asked.append(arguments[0])
        files.write_file(dataset.Path(arguments[-1]), json.dumps({metric: 0.5}).encode())

    from ..project import workspace

    monkeypatch.setattr(workspace, "environment", lambda *_: sys.executable)
    monkeypatch.setattr(workspace, "run_task", worker)
    assert train.champion_metric(workplace.config, client, other) == 0.5
    assert asked == ["score"]


@pytest.mark.slow
def test_a_champion_is_judged_by_its_own_code_on_the_columns_that_it_knows(
    workplace, client, tmp_path
):
    """A new column must not end all trainings; rows of another question are for a person."""
    recorded, now = workplace.trained.manifest, dataset.verified(workplace.config)
    metric = workplace.config.params.gate.metric

    def asked(change, say=lambda _: None, **overrides):
        config = settings.settings(
            root=workplace.root,
            var_dir=workplace.config.var_dir,
            data_dir=tmp_path,
            overrides=overrides,
        )
        for name in now.files:
            change(dataset.read_csv(workplace.config.data_dir / name, {})).to_csv(
                tmp_path / name, index=False
            )
        hashes = {name: files.sha256_file(tmp_path / name) for name in now.files}
        columns = [*pd.read_csv(tmp_path / record.HOLDOUT, nrows=0)]
        made = now.model_copy(update={"columns": columns, "files": hashes})
        files.write_json(tmp_path / "manifest.json", made.model_dump())
        used = recorded.model_copy(update={"data": manifest.Data(source="", files=hashes)})
        return train.champion_metric(config, client, used, say)

    found = asked(lambda rows: rows.assign(later='"new", and\nmore'))
    assert found == pytest.approx(recorded.metrics[metric], abs=1e-3)
    gone = next(iter(schema.Inputs.to_schema().columns))
    said = rf"cannot be judged on these rows \(.* no column {gone} any more\); .* retire` it"
    with pytest.raises(errors.UserError, match=said):
        asked(lambda rows: rows.drop(columns=gone))
    with pytest.raises(
        errors.UserError, match=r"cannot be judged .*separate process: .* retire` it"
    ):
        asked(lambda rows: rows.assign(**{gone: "no number"}))
    said, heard = r"its code does not compute unheard_of\); .* retire` it", []
    with pytest.raises(errors.UserError, match=said):
        asked(
            lambda rows: rows.assign(later=1),
            heard.append,
            **{"gate.metric": "unheard_of", "holdout": 0.5},
        )
    assert [one for one in heard if one.startswith("note: the holdout share changed")]


def test_promote_rollback_and_promote_again(workplace, client):
    config, name = workplace.config, workplace.config.model_name
    first = registry.resolve(config, "champion").number
    source = client.get_model_version(name, str(first)).source
    second = int(client.create_model_version(name, source, workplace.trained.run_id).version)
    try:
        assert registry.promote(config, str(second))[1] == first
        assert registry.resolve(config, "champion").number == second
        assert registry.rollback(config)[0].number == first
        with pytest.raises(errors.UserError, match="no earlier champion"):
            registry.rollback(config)
        assert registry.resolve(config, "champion").number == first
        # After a retirement, what is promoted is the first again.
        assert registry.retire(config) == first
        for missing in (registry.retire, registry.rollback, registry.promote):
            with pytest.raises(errors.UserError, match=r"has no .*ch.*"):
                missing(config)
        assert registry.promote(config, str(second))[1] is None
        with pytest.raises(errors.UserError, match="no earlier champion"):
            registry.rollback(config)
        registry.promote(config, str(first))
        # Cut short between the alias and the list: the alias counts.
        registry.promote(config, str(second))
        client.set_registered_model_tag(name, registry.HISTORY, f"[{first}]")
        assert registry.rollback(config)[0].number == first
        client.set_registered_model_tag(name, registry.HISTORY, "not json")
        with pytest.raises(errors.UserError, match="damaged"):
            registry.rollback(config)
    finally:
        client.set_registered_model_tag(name, registry.HISTORY, f"[{first}]")
        for alias in ("champion", "challenger"):
            client.set_registered_model_alias(name, alias, str(first))
        client.delete_model_version(name, str(second))


@pytest.mark.parametrize("reference", ["99", "nobody", "0", "-1", "", "a b"])
def test_an_unknown_version_is_told(workplace, reference):
    with pytest.raises(errors.UserError, match="has no"):
        registry.resolve(workplace.config, reference)


def test_a_run_is_found_by_the_start_of_its_id(workplace, client):
    run_id = workplace.trained.run_id
    assert runs.find(workplace.config, client, run_id[:12]) == run_id
    with pytest.raises(errors.UserError, match="there is no run zzz"):
        runs.find(workplace.config, client, "zzz")


def test_a_server_that_is_not_there_is_told_without_its_password(workplace):
    away = workplace.config.model_copy(update={"tracking_uri": "http://user:hunter2@127.0.0.1:9"})
    with pytest.raises(errors.UserError, match="cannot be reached") as caught:
        runs.connect(away)
    assert "hunter2" not in str(caught.value)


def test_a_damaged_database_is_told(workplace, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    odd = workplace.config.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    with pytest.raises(errors.UserError, match="MLflow: "):
        runs.connect(odd)


def content(path):
    """Return a file's bytes; of a database its values, which lie there without anything between."""
    if path.suffix != ".db":
        return path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump()).encode()


def test_no_personal_value_leaves_the_data_folder(workplace):
    rows = data.load()
    secrets = {str(value).encode() for name in schema.PERSONAL for value in rows[name]}
    pattern = re.compile(b"|".join(map(re.escape, secrets)) or rb"(?!)")  # nothing: no match
    # An environment holds other people's files, and nothing of ours.
    ours = [path for path in workplace.config.var_dir.iterdir() if path.name != "envs"]
    files = [path for top in ours for path in [top, *top.rglob("*")] if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if pattern.search(content(path))] == []


def test_predictions_carry_identifiers_and_the_version(workplace, split, tmp_path):
    rows = split.holdout.drop(columns=schema.TARGET)
    rows.to_csv(tmp_path / "in.csv", index=False)
    told = bundle.predict_file(
        workplace.config, "champion", tmp_path / "in.csv", tmp_path / "out.csv"
    )
    answers = pd.read_csv(tmp_path / "out.csv", dtype={schema.IDENTIFIER: str})
    assert told == len(answers) == len(rows)
    assert answers[schema.IDENTIFIER].tolist() == rows[schema.IDENTIFIER].tolist()
    labels = split.holdout[schema.TARGET]
    judged = model.metrics(labels, answers.filter(regex="^score").squeeze(axis=1).to_numpy())
    assert judged == pytest.approx(
        {name: workplace.trained.manifest.metrics[name] for name in judged}
    )
    assert answers["label"].dtype.kind in "iufO"
    assert set(answers["model_version"]) == {workplace.trained.version.number}


def test_identifiers_come_back_byte_for_byte(workplace, inputs, tmp_path):
    names = ["00017", "12345678901234567", "", "NA", "1e5", "é, ü"]
    rows = inputs.head(len(names)).assign(**{schema.IDENTIFIER: names})
    rows.to_csv(tmp_path / "in.csv", index=False)
    bundle.predict_file(workplace.config, "champion", tmp_path / "in.csv", tmp_path / "out.csv")
    answers = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert answers[schema.IDENTIFIER].tolist() == names


def test_predictions_for_invalid_rows_leave_the_old_file(workplace, inputs, tmp_path):
    inputs.assign(unknown=1).to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "out.csv").write_text("label,model_version\nold")
    with pytest.raises(errors.UserError, match="unknown: is not allowed"):
        bundle.predict_file(workplace.config, "champion", tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "label,model_version\nold"


@pytest.mark.parametrize("out", ["in.csv", "params.yaml", "model.bin"])
def test_predictions_replace_no_file_of_something_else(workplace, inputs, tmp_path, out):
    inputs.to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "model.bin").write_bytes(b"\xff\n")
    kept = (tmp_path / out).read_bytes()
    with pytest.raises(errors.UserError, match=f"{out} is there and has no scores of `predict`"):
        bundle.predict_file(workplace.config, "champion", tmp_path / "in.csv", tmp_path / out)
    assert (tmp_path / out).read_bytes() == kept


def test_a_model_of_other_feature_code_does_not_answer(workplace, monkeypatch):
    version = registry.resolve(workplace.config, "champion")
    name, function = next(iter(features.features.functions.items()))
    for other, said in (
        (lambda rows: function(rows) * 3 + 7, r"golden prediction \d is .*, but was"),
        (lambda _: {}["gone"], r"golden predictions: KeyError"),
    ):
        monkeypatch.setitem(features.features.functions, name, other)
        with (
            pytest.raises(errors.UserError, match=rf"with the code that is here \({said}"),
            bundle.fetched(workplace.config, version),
        ):
            pass


def test_golden_rows_are_as_a_client_sends_them():
    rows = pd.DataFrame(
        {
            "number": [0.1, None],
            "whole": [2**53 + 1, 2],
            "text": ["ä", None],
            "at": pd.to_datetime(["2024-02-29T12:30:00.000001", None]),
        }
    )
    assert golden.as_sent(rows) == [
        {"number": 0.1, "whole": 2**53 + 1, "text": "ä", "at": "2024-02-29T12:30:00.000001"},
        {"number": None, "whole": 2, "text": None, "at": None},
    ]
    kept = golden.Golden(inputs=golden.as_sent(rows), scores=[0.1, 1 / 3])
    assert golden.Golden.model_validate_json(kept.model_dump_json()) == kept


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([2.0], None),
        ([2.0 + 1e-10], None),
        ([0.5], "golden prediction 0 is 0.5, but was 2.0 at training"),
        ([None], "golden prediction 0 is None, but was 2.0 at training"),
        ([2.0, 2.0], "golden predictions: 2 scores for 1 rows"),
    ],
)
def test_golden_scores_must_be_those_of_training(scores, said):
    kept = golden.Golden(inputs=[{"x": 1}], scores=[2.0])
    if said is None:
        kept.compare(scores)
        return
    with pytest.raises(errors.UserError, match=re.escape(said)):
        kept.compare(scores)


@pytest.mark.parametrize(
    ("score", "expected", "close"),
    [
        (0.5, 0.5 + 1e-12, True),
        (0.5, 0.51, False),
        ([0.1, 0.9], [0.1, 0.9 + 1e-12], True),
        ([0.1, 0.9], [0.2, 0.8], False),
        ([0.1], [0.1, 0.9], False),
        (0.1, [0.1], False),
        ("0.5", 0.5, False),
        (0.0, 1e-13, True),
    ],
)
def test_golden_scores_are_compared_number_by_number(score, expected, close):
    assert golden.close(score, expected, 1e-9) == close


def test_a_bundle_with_another_model_in_it_is_refused(workplace, tmp_path):
    version = registry.resolve(workplace.config, "champion")
    folder = registry.fetch(workplace.config, version, tmp_path)
    manifest = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**manifest, "model_digest": "0" * 64}))
    with pytest.raises(errors.UserError, match="not the one"):
        bundle.load_bundle(folder)
    shutil.rmtree(folder / "model")
    with pytest.raises(errors.UserError, match="cannot be read"):
        bundle.load_bundle(folder)


@pytest.mark.parametrize(
    ("free", "said"), [(1000, "No space left on device"), (10**12, "MLflow: check the path")]
)
def test_a_bundle_that_does_not_come_says_why(workplace, tmp_path, monkeypatch, free, said):
    version = registry.resolve(workplace.config, "champion")

    def fail(*_):
        raise MlflowException("check the path")

    monkeypatch.setattr(MlflowClient, "download_artifacts", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(errors.UserError, match=said):
        registry.fetch(workplace.config, version, tmp_path)


def test_contributions_explain_one_score(workplace, inputs):
    from ..project import features

    x = features.features.build(inputs.head(1))
    version = registry.resolve(workplace.config, "champion")
    with bundle.fetched(workplace.config, version) as loaded:
        table = explain.contributions(loaded, x)
        typical = x.assign(**loaded.reference["typical"])
        flat = explain.contributions(loaded, typical)
    assert set(table.index) == set(x)
    assert table["contribution"].abs().is_monotonic_decreasing
    assert table["contribution"].abs().max() > 0
    assert (flat["contribution"] == 0).all()
    name = table.index[0]
    without = x.assign(**{name: loaded.reference["typical"][name]})
    before = np.ravel(model.predict(loaded.model, x))
    likeliest = before.argmax()
    added = before[likeliest] - np.ravel(model.predict(loaded.model, without))[likeliest]
    assert table["contribution"].iloc[0] == pytest.approx(added)


def test_an_explanation_names_version_and_run(workplace, inputs, tmp_path):
    inputs.head(2).to_csv(tmp_path / "in.csv", index=False)
    lines = explain.report(workplace.config, tmp_path / "in.csv", 1, "", "champion")
    assert workplace.trained.run_id in lines[-1]
    with pytest.raises(errors.UserError, match="no row 2"):
        explain.report(workplace.config, tmp_path / "in.csv", 2, "", "champion")
    with pytest.raises(errors.UserError, match="no prediction nothing"):
        explain.report(workplace.config, None, 0, "nothing", "champion")


def test_the_recorded_search_is_of_this_data_and_was_followed(workplace):
    search = json.loads((workplace.root / "tuning.json").read_text())
    params = workplace.config.params
    best = search["tried"][0]
    assert search["data"] == workplace.trained.manifest.data.files[record.TRAIN]
    assert search["metric"] == params.gate.metric
    chosen = {name: params.model.get(name) for name in best["params"]}
    assert chosen == best["params"], f"run `tune`, or write {best['params']} to params.yaml"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, ""),
        ('{"data": "other"}', "tuning.json has a search on other rows"),
        ("[]", "tuning.json is damaged"),
        ("{", "tuning.json is damaged"),
    ],
)
def test_a_search_on_other_rows_is_noted(workplace, changed, written, said):
    data = dataset.read(workplace.config).manifest
    assert tuning.stale(workplace.config, data) == ""
    changed("tuning.json", "{", "{")  # so that it is put back
    path = workplace.root / "tuning.json"
    path.unlink() if written is None else path.write_text(written, encoding="utf-8")
    assert said in tuning.stale(workplace.config, data)


def test_a_value_chosen_by_hand_is_trained_without_a_note(workplace, changed):
    (name, value), *_ = workplace.config.params.model.items()
    changed("params.yaml", f"{name}: {value}", f"{name}: {value}  # by hand")
    lines = []
    train.train(workplace.config, quick=True, register=False, say=lines.append)
    assert not [line for line in lines if line.startswith("note:")]


def test_a_search_records_every_combination_best_first(workplace, monkeypatch, changed):
    changed("tuning.json", "{", "{")  # so that it is put back
    monkeypatch.setattr(model, "SEARCH", example.SEARCH)
    lines = tuning.tune(workplace.config)
    search = json.loads((workplace.root / "tuning.json").read_text())
    means = [result["mean"] for result in search["tried"]]
    assert len(means) == 2
    assert means == sorted(means, reverse=True)
    (values,) = example.SEARCH.values()
    assert list(search["tried"][0]["params"].values()) == values[1:]
    assert "tuning.json" in lines[-1]


def test_a_backtest_judges_the_same_rows_by_ever_older_models(workplace):
    lines = tuning.backtest(workplace.config)
    found = json.loads((workplace.config.var_dir / "reports" / "staleness.json").read_text())
    assert list(found) == ["0.0", "0.1", "0.2", "0.3", "0.4"]
    assert len(set(found.values())) > 1
    assert (workplace.config.var_dir / "reports" / "staleness.png").stat().st_size > 1000
    assert any("staleness costs" in line for line in lines)


def test_slower_than_recorded_is_refused(workplace, monkeypatch, changed):
    recorded = json.loads((workplace.root / "benchmark.json").read_text())
    limit = workplace.config.params.budgets.slowdown
    monkeypatch.setattr(benchmark, "measure", lambda _: recorded)
    assert len(benchmark.compare(workplace.config)) == len(recorded)
    slow = {name: ratio * limit * 1.01 for name, ratio in recorded.items()}
    monkeypatch.setattr(benchmark, "measure", lambda _: slow)
    with pytest.raises(errors.UserError, match="slower than recorded"):
        benchmark.compare(workplace.config)
    changed("benchmark.json", "{", "[")
    with pytest.raises(errors.UserError, match="damaged"):
        benchmark.compare(workplace.config)


def test_the_benchmark_measures_training_and_prediction(workplace):
    found = benchmark.measure(workplace.config, repeats=1)
    assert set(found) == {"train", "predict"}
    assert all(ratio > 0 for ratio in found.values())


def test_a_mirror_that_is_not_part_of_the_project_is_one_line(workplace, monkeypatch):
    monkeypatch.setattr(runs.optional, "load", lambda _: None)
    config = workplace.config.model_copy(update={"mirrors": ["wandb"]})
    with (
        pytest.raises(errors.UserError, match=r"has no wandb.*tracking=wandb"),
        runs.run(config, runs.connect(config), "test"),
    ):
        pass


def test_what_a_fit_reports_is_in_the_run(workplace, client):
    said = []
    with runs.run(workplace.config, client, "test", said.append) as record:
        for step in range(3):
            record.report(step, {"loss": 1.0 / (step + 1)})
        record.passed_on -= 2  # as if seconds had gone by
        record.report(3, {"loss": 0.2})
    history = client.get_metric_history(record.run_id, "fit.loss")
    assert [(one.step, one.value) for one in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3), (3, 0.2)]
    assert said == ["  step 3: loss 0.2000"]


def test_a_fit_goes_on_only_from_the_state_of_the_very_same_recipe(workplace, tmp_path):
    # A folder of its own: a quick training of the same recipe leaves its state.
    config, said = workplace.config.model_copy(update={"var_dir": tmp_path}), []
    recorded = workplace.trained.manifest.data
    place = train._checkpoints(config, recorded, said.append)
    assert (said, list(place.iterdir())) == ([], [])
    (place / "state").touch()
    assert train._checkpoints(config, recorded, said.append) == place
    assert "going on from there" in said[0]
    others = [
        (config.model_copy(update={"workers": 2}), recorded),
        (config.model_copy(update={"device": "cuda"}), recorded),
        (config, recorded.model_copy(update={"files": {}})),
    ]
    assert place not in {train._checkpoints(*other, said.append) for other in others}
    train.train(config)
    assert not place.parent.exists()


def test_more_workers_than_one_need_ray(workplace, split, params, monkeypatch):
    monkeypatch.setattr(evaluation.optional, "load", lambda _: None)
    with pytest.raises(errors.UserError, match="ML_WORKERS is 2, but this project trains in one"):
        evaluation.run(split, params, evaluation.Context(0, workers=2))


@pytest.fixture
def fits(monkeypatch):
    """The models that are fitted from here on, counted."""
    counted, fit = [], evaluation.fit
    monkeypatch.setattr(evaluation, "fit", lambda *args: counted.append(1) or fit(*args))
    return counted


def test_a_quick_training_fits_one_model_and_registers_none(workplace, client, fits):
    before = registry.versions(workplace.config, client)
    trained = train.train(workplace.config, quick=True)
    assert len(fits) == 1
    assert trained.version is None
    failed = {check.name for check in trained.checks if not check.passed}
    assert failed == {"baseline", "features help"}
    assert trained.manifest.model_digest == workplace.trained.manifest.model_digest
    assert registry.versions(workplace.config, client) == before


def test_a_training_says_what_it_fits_beside_the_model(workplace):
    lines = []
    train.train(workplace.config, say=lines.append)
    assert any(line.startswith("comparing: ") for line in lines)


def test_a_parameter_replaced_for_one_run_is_recorded_and_reproduced(workplace, client):
    other = workplace.config.model_copy(update={"overrides": {"seed": 7}})
    other.__dict__.pop("params", None)
    trained = train.train(other, quick=True)
    assert trained.manifest.overrides == {"seed": 7}
    assert trained.manifest.params["seed"] == 7
    assert client.get_run(trained.run_id).info.run_name.endswith(" seed=7")
    verdict = reproduce.reproduce(workplace.config, trained.run_id, here=True)
    assert verdict.exact, verdict.lines()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"gate.nothing.deeper": 1}, "params.yaml has no parameter gate.nothing.deeper"),
        ({"gate.slices": 1}, "gate.slices is no single parameter of params.yaml"),
        ({"seed": "many"}, "seed: "),
        ({"seed.deeper": 1}, "seed.deeper is no single parameter"),
        ({"nothing": 1}, "nothing: "),
    ],
)
def test_a_parameter_that_cannot_be_replaced_is_one_line(workplace, overrides, said):
    with pytest.raises(errors.UserError) as caught:
        settings.load_params(workplace.root / "params.yaml", overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
