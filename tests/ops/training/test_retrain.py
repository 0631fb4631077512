"""Retraining: rows that changed become a commit, a challenger and a change; others nothing."""

import pytest

from ..conftest import commit
from ..project import data, dataset, errors, gate, git, registry, reproduce, retrain, runs, settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("retrain")]


@pytest.fixture(scope="module")
def _place(project_factory):
    root = project_factory()
    config = settings.settings(root=root, var_dir=root / "var")
    dataset.prepare(config)
    retrain.train.train(config)
    registry.promote(config)
    return config


@pytest.fixture
def place(_place, monkeypatch):
    """A project with a champion, on its main branch; its git knows who commits."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.com")
    yield _place
    git.git(_place.root, "checkout", "--quiet", "--force", "main")
    monkeypatch.undo()
    dataset.prepare(_place)


@pytest.fixture
def fresh(monkeypatch):
    """Let the source give other rows; return them."""
    rows = data.load()
    monkeypatch.setattr(data, "load", lambda: rows.iloc[5:])
    return rows.iloc[5:]


def branches(place):
    return git.git(place.root, "branch", "--format=%(refname:short)").split()


def test_rows_that_did_not_change_are_no_retraining(place):
    lines, before = [], registry.versions(place, runs.connect(place))
    retrain.retrain(place, lines.append)
    assert lines == ["the rows are as recorded: nothing to retrain"]
    assert branches(place) == ["main"]
    assert registry.versions(place, runs.connect(place)) == before
    assert not (place.var_dir / retrain.REPORT).exists()


def test_rows_that_changed_are_recorded_trained_on_and_gated_against_the_champion(place, fresh):
    lines, champion = [], registry.resolve(place, "champion")
    retrain.retrain(place, lines.append)
    (branch,) = {*branches(place)} - {"main"}
    head, dirty = git.git_state(place.root)
    assert (git.git(place.root, "branch", "--show-current").strip(), dirty) == (branch, [])
    changed = git.git(place.root, "diff", "--name-only", "main", branch).split()
    assert changed == ["data/manifest.json"]
    assert sum(dataset.read(place).manifest.rows.values()) == len(fresh)
    challenger = registry.resolve(place, "challenger")
    assert challenger.commit == head
    assert challenger.number != champion.number
    assert registry.resolve(place, "champion") == champion.__class__(
        **{**vars(champion), "aliases": ("champion",)}
    )
    report = (place.var_dir / retrain.REPORT).read_text(encoding="utf-8")
    assert f"version {challenger.number}" in report
    assert "train.csv" in report
    verdict = reproduce.reproduce(place, challenger.run_id)
    assert verdict.exact, verdict.lines()

    git.git(place.root, "checkout", "--quiet", "main")
    lines.clear()
    retrain.retrain(place, lines.append)
    assert lines == [f"the branch {branch} has these rows already: nothing to retrain"]
    git.git(place.root, "branch", "--quiet", "-D", branch)


def test_a_model_that_the_gate_refuses_opens_no_change(place, fresh, monkeypatch):
    refused = [gate.Check(name="minimum", passed=False, detail="too low")]
    monkeypatch.setattr(gate, "judge", lambda *_: refused)
    before = registry.versions(place, runs.connect(place))
    with pytest.raises(errors.UserError, match="not registered; minimum: too low"):
        retrain.retrain(place, print)
    assert registry.versions(place, runs.connect(place)) == before
    assert not (place.var_dir / retrain.REPORT).exists()


def test_uncommitted_changes_are_in_the_way(place, fresh):
    (place.root / "params.yaml").open("a").write("# changed\n")
    with pytest.raises(errors.UserError, match=r"commit params.yaml first"):
        retrain.retrain(place, print)
    assert commit(place.root, "changed")
