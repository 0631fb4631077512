"""A fit that two workers share: one run, the same every time, whoever is lost on the way."""

import os
import signal
import time
from dataclasses import replace

import pytest

from ..project import (
    cluster,
    context,
    dataset,
    digest,
    distributed,
    errors,
    evaluation,
    features,
    reproduce,
    runs,
    schema,
    seeding,
    train,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workplace")]
# Ray reads them once in a process: all clusters of these tests have the same.
os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64})


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture(scope="module")
def shared(trained_workplace):
    """A training of the workplace on two workers."""
    os.environ.pop("RAY_ADDRESS", None)
    return train.train(trained_workplace.config.model_copy(update={"workers": 2}))


@pytest.fixture
def two(workplace):
    """The context of a fit on two workers, and the data it learns from."""
    config = workplace.config
    train = dataset.read(config).train
    wanted = replace(context.Context.of(config.params, config), workers=2)
    return wanted, features.features.build(train), train[schema.TARGET]


def test_two_workers_make_one_run(workplace, shared):
    client = runs.connect(workplace.config)
    run = client.get_run(shared.run_id)
    assert run.info.status == "FINISHED"
    assert shared.manifest.metrics.items() <= run.data.metrics.items()
    names = [name for name in run.data.metrics if name.startswith("fit.")]
    assert names
    for name in names:
        steps = [told.step for told in client.get_metric_history(run.info.run_id, name)]
        assert steps == list(range(len(steps)))
        assert len(steps) > 1
    assert shared.version is not None, shared.checks


def test_the_same_number_of_workers_gives_the_run_again(workplace, shared):
    verdict = reproduce.reproduce(workplace.config, shared.run_id, here=True)
    assert verdict.exact, verdict.lines()
    assert verdict.manifest.platform.workers == 2


def test_another_number_of_workers_is_another_platform(workplace, shared):
    alone = workplace.trained.manifest
    assert alone.model_digest != shared.manifest.model_digest
    assert "workers 2 became 1" in shared.manifest.differences(alone)["platform"]


def test_a_worker_that_is_killed_does_not_change_the_model(workplace, shared, two, tmp_path):
    wanted, x, y = two
    flag, found = tmp_path / "killed", tmp_path / "found"
    share = distributed.share

    def work(x, y, params, context):
        if context.rank:
            return share(x, y, params, context)
        files = sorted(path.name for path in context.folder.iterdir())
        with found.open("a") as lines:
            print(*files, file=lines)

        def report(step, metrics):
            context.report(step, metrics)
            if any(context.folder.iterdir()) and not flag.exists():
                flag.touch()
                time.sleep(1)
                os.kill(os.getpid(), signal.SIGKILL)

        return share(x, y, params, replace(context, report=report))

    steps = []
    wanted = replace(wanted, folder=tmp_path / "kept", report=lambda step, _: steps.append(step))
    wanted.folder.mkdir()
    with seeding.deterministic(wanted):
        fitted = cluster.fit(
            distributed.trainer, work, (x, y), workplace.config.params.model, wanted
        )
    assert digest.model_digest(fitted) == shared.manifest.model_digest
    assert flag.exists()
    first, second = found.read_text().splitlines()
    assert (first, bool(second)) == ("", True)  # it went on from what it found there
    assert steps == list(range(len(steps)))
    assert {path.name for path in wanted.folder.iterdir()} == set(second.split())


def test_a_fit_whose_own_process_ended_goes_on_where_it_was(workplace, shared, two, tmp_path):
    wanted, x, y = two
    kept, found = tmp_path / "kept", tmp_path / "found"
    kept.mkdir()
    share = distributed.share

    def work(x, y, params, context):
        if not context.rank:
            with found.open("a") as lines:
                print(*sorted(path.name for path in context.folder.iterdir()), file=lines)

        def report(step, metrics):
            context.report(step, metrics)
            time.sleep(0.05)  # or it is over before it can be interrupted

        return share(x, y, params, replace(context, report=report))

    def interrupt(step, metrics):
        if any(kept.iterdir()):
            raise KeyboardInterrupt

    def fit(report):
        context = replace(wanted, folder=kept, report=report)
        with seeding.deterministic(context):
            params = workplace.config.params.model
            return cluster.fit(distributed.trainer, work, (x, y), params, context)

    with pytest.raises(KeyboardInterrupt):
        fit(interrupt)
    fitted = fit(context.silent)
    assert digest.model_digest(fitted) == shared.manifest.model_digest
    first, second = found.read_text().splitlines()
    assert (first, bool(second)) == ("", True)


def test_parameters_that_all_workers_refuse_are_told_once(two):
    wanted, x, y = two
    started = time.monotonic()
    with pytest.raises(errors.UserError, match=r"model\.fit refused: ") as caught:
        evaluation.fit(x, y, {"nonsense": "much"}, wanted)
    assert "nonsense" in str(caught.value)
    assert time.monotonic() - started < 300
