"""The command line: what it answers, and one clear line for each of its users' mistakes."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from ..conftest import ROOT
from ..project import commands, dataset, package, runs, schema

pytestmark = pytest.mark.xdist_group("workplace")


@pytest.fixture
def run(workplace, capsys, monkeypatch, tmp_path):
    """Run a command in-process, from another folder; return its status, output and error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            commands.main([str(argument) for argument in arguments])
            status = 0
        except SystemExit as end:
            status = end.code
            if isinstance(status, str):
                sys.stderr.write(f"{status}\n")
                status = 1
        told = capsys.readouterr()
        return status or 0, told.out, told.err

    return call


@pytest.fixture
def table(inputs, tmp_path):
    """Write a CSV file of inputs, changed by a function; return its path."""

    def write(change=lambda rows: rows):
        path = tmp_path / "in.csv"
        change(inputs.head(30).copy()).to_csv(path, index=False)
        return path

    return write


def test_the_way_from_data_to_answers(run, table, tmp_path):
    for command in (
        ("prepare",),
        ("validate",),
        ("validate", table()),
        ("evaluate",),
        ("promote", "challenger"),
        ("predict", table(), tmp_path / "out.csv"),
        ("explain", table(), "--row", "2"),
        ("status",),
    ):
        status, out, error = run(*command)
        assert (status, error) == (0, ""), command
        assert out.strip(), command
    assert len(dataset.read_csv(tmp_path / "out.csv")) == 30


def test_a_target_that_was_not_chosen_is_one_line_that_says_how_to_add_it(run):
    status, out, error = run("deploy", "moon", "status")
    assert (status, out) == (2, "")
    line = error.splitlines()[-1]
    assert "does not deploy to 'moon', only to: local" in line
    assert re.search(r"scripts/update\.sh --data 'deploy=\[[\w, ]*TARGET\]' adds a target", line)


def test_a_file_that_can_be_predicted_is_valid(run, table, tmp_path):
    path = table(lambda rows: rows.assign(**{schema.IDENTIFIER: "who"}))
    assert run("validate", path)[:2] == (0, "valid: 30 rows\n")
    assert run("predict", path, tmp_path / "out.csv")[0] == 0


def test_evaluate_judges_a_labelled_file(run, split, tmp_path):
    split.holdout.to_csv(tmp_path / "labelled.csv", index=False)
    whole, again = run("evaluate"), run("evaluate", "champion", tmp_path / "labelled.csv")
    assert whole[1].splitlines()[1:] == again[1].splitlines()[1:]


COLUMN = next(iter(schema.Inputs.to_schema().columns))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("validate", "nowhere.csv"), "nowhere.csv cannot be read: No such file"),
        (("predict", "nowhere.csv", "out.csv"), "nowhere.csv cannot be read"),
        (("predict", ".", "out.csv"), "cannot be read: Is a directory"),
        (("explain",), "give a CSV file, or --prediction"),
        (("explain", "--prediction", "none"), "no prediction none"),
        (("evaluate", "99"), "has no version 99"),
        (("promote", "99"), "has no version 99"),
        (("reproduce", "zzz"), "there is no run zzz"),
        (("evaluate", "champion", "nowhere.csv"), "nowhere.csv cannot be read"),
    ],
)
def test_a_mistake_is_told_in_one_line(run, arguments, told):
    status, _, error = run(*arguments)
    assert status == 1
    assert told in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop(columns=COLUMN), f"{COLUMN}: is missing"),
        (lambda rows: rows.assign(other=1), "other: is not allowed"),
        (lambda rows: rows.assign(**{COLUMN: "x"}), f"{COLUMN}: must be "),
        (lambda rows: rows.assign(**{COLUMN: 1e9}), COLUMN),
        (lambda rows: rows.head(0), "there are no rows"),
    ],
)
def test_an_invalid_file_is_told_in_one_line(run, table, tmp_path, change, told):
    status, _, error = run("predict", table(change), tmp_path / "out.csv")
    assert status == 1
    assert told in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("arguments", [("nonsense",), ("train", "--nonsense"), ("predict",)])
def test_a_usage_error_has_status_2(run, arguments):
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ML_PORT", "many", "ML_PORT"),
        ("ML_PORT", "70000", "ML_PORT"),
        ("ML_LOG_LEVEL", "loud", "ML_LOG_LEVEL"),
        ("ML_ROOT", "/nowhere", "/nowhere/params.yaml cannot be read"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "cannot be reached"),
        ("MLFLOW_TRACKING_URI", "nonsense://x", "MLflow: "),
    ],
)
def test_a_bad_setting_is_told_in_one_line(run, monkeypatch, name, value, told):
    monkeypatch.setenv(name, value)
    command = "train" if name == "MLFLOW_TRACKING_URI" else "prepare"
    status, _, error = run(command)
    assert status == 1
    assert told in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: ", "seed: x", "seed"),
        ("seed: ", "sed: ", "seed: field required"),
        ("seed: ", "seed: [", "is not YAML"),
        ("holdout: ", "holdout: 7", "holdout"),
        ("model:", "model: 3\nx:", "model"),
    ],
)
def test_bad_params_are_told_in_one_line(run, changed, old, new, told):
    changed("params.yaml", old, new)
    status, _, error = run("train")
    assert status == 1
    assert "params.yaml" in error
    assert told in error
    assert len(error.splitlines()) == 1


def test_a_read_only_target_is_told_in_one_line(run, table):
    status, _, error = run("predict", table(), "/proc/out.csv")
    assert status == 1
    assert "/proc/out.csv cannot be written" in error
    assert len(error.splitlines()) == 1


def test_nothing_registered_yet_says_what_to_do(run, monkeypatch, table, tmp_path):
    monkeypatch.setenv("ML_MODEL_NAME", "another")
    status, _, error = run("predict", table(), tmp_path / "out.csv")
    assert status == 1
    assert "has no champion; run" in error


def test_outside_a_project_one_line_says_so(tmp_path):
    """An installed wheel has no checkout around it."""
    target = tmp_path / "site" / package.__name__
    shutil.copytree(ROOT / "src" / package.__name__, target)
    done = subprocess.run(
        [sys.executable, "-m", package.__name__, "prepare"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "run this inside its folder" in done.stderr


def test_the_summaries_of_the_commands_are_not_cut_off(run):
    assert "..." not in run("--help")[1].split("Commands:")[1]


def test_promote_lists_the_versions(run):
    out = run("promote")[1].splitlines()
    assert out[0] == "champion: version 1"
    assert [line.split(",")[0] for line in out[1:]] == ["  version 1"]
    assert out[1].endswith(", challenger, champion")


def test_a_champion_is_retired_with_its_challenger_and_promoted_again(run, workplace):
    config = workplace.config
    try:
        assert run("retire")[1] == "no champion (was: version 1); releases go on\n"
        assert "promote` once a version is registered" in run("evaluate")[2]
        assert "it registers what passes the gate" in run("promote")[2]
        assert run("promote", "1")[1].startswith("champion: version 1\n")
    finally:
        for alias in ("champion", "challenger"):
            runs.connect(config).set_registered_model_alias(config.model_name, alias, "1")


def test_two_runs_are_compared_layer_by_layer(run, workplace):
    out = run("train", "--quick", "--no-register", "--set", "model.C=0.7")[1]
    second = re.search(r"^run: (\w+)", out, re.MULTILINE)[1]
    status, out, _ = run("compare", "champion", second[:12])
    runs.connect(workplace.config).delete_run(second)  # the last run stays what it was
    lines = out.splitlines()
    assert status == 0
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        *("first", "second"),
        *("code", "lock", "data", "params", "platform", "model", "metrics"),
    ]
    assert lines[0].split()[1] == f"{workplace.trained.run_id[:12]},"
    assert lines[1].endswith(" model.C=0.7")
    assert re.search(r"\n  model.C +0.1 +0.7 +\+0.6\n", out)
    assert run("compare", "champion", "champion")[1].count(" same\n") == 7


def test_every_command_has_help(run):
    for command in commands.app.registered_commands:
        name = command.name or command.callback.__name__
        status, out, _ = run(name, "--help")
        assert status == 0
        assert "Usage" in out
