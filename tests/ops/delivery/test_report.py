"""The page on how the work goes: figures from what was recorded, beside their targets."""

import json

import pytest

from ..project import commands, report, reproduce, settings

DEPLOYED = {"action": "deploy", "outcome": "ok", "seconds": 10.0, "version": "1", "release": 1}


@pytest.fixture
def config(tmp_path):
    return settings.settings(var_dir=tmp_path)


def recorded(config, name, *entries):
    path = config.var_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), "utf-8")


def at(minute, **changed):
    return {**DEPLOYED, "time": f"2026-01-01T00:{minute:02}:00+00:00", **changed}


def found(config):
    return {one.name: (one.found, one.reached) for one in report.figures(config)[0]}


def test_of_nothing_recorded_nothing_is_claimed(config):
    assert {*found(config).values()} == {("none yet", None)}
    page = report.write(config)[1].read_text("utf-8")
    assert "none yet" in page


@pytest.mark.parametrize(("seconds", "reached"), [([30, 50, 4000], True), ([700], False)])
def test_set_up_is_judged_by_its_median(config, seconds, reached):
    entries = [{"action": "setup", "seconds": one} for one in seconds]
    recorded(config, "events.jsonl", *entries)
    assert found(config)["set-up"][1] is reached


@pytest.mark.parametrize(("failed", "reached"), [(0, True), (1, True), (2, False)])
def test_a_version_counts_by_its_first_deployment_only(config, failed, reached):
    entries = [at(0, version=str(n), outcome="ok" if n >= failed else "failed") for n in range(20)]
    again = [at(1, version=str(n)) for n in range(20)]
    recorded(config, "deploy/local/history.jsonl", *entries, *again)
    share = f"{(20 - failed) / 20:.0%}, {20 - failed} of 20"
    assert found(config)["first-time deployments"] == (share, reached)
    assert found(config)["all deployments"][0].endswith(f"{40 - failed} of 40")


def test_restoring_lasts_from_the_first_failure_to_the_next_success_in_that_environment(config):
    failed = {"outcome": "failed", "seconds": 5.0, "reason": "golden prediction 0 is 0.5"}
    recorded(
        config, "deploy/local/history.jsonl",
        at(0), at(1, **failed), at(2, **failed), at(3, action="rollback", seconds=2.0),
    )  # fmt: skip
    recorded(config, "deploy/compose/history.jsonl", at(2), at(4, **failed))
    assert found(config)["time to restore"] == ("2.0 min, median of 1", None)
    page = report.write(config)[1].read_text("utf-8")
    assert page.count("golden prediction 0 is 0.5") == 3
    assert page.index("00:04") < page.index("00:00"), "the last attempt comes first"


def test_a_run_counts_by_the_last_time_that_it_was_reproduced(config):
    entries = [
        {"action": "reproduce", "run": run, "exact": exact}
        for run, exact in (("a", False), ("a", True), ("b", True), ("c", True), ("c", False))
    ]
    recorded(config, "events.jsonl", *entries)
    assert found(config)["runs reproduced"] == ("67%, 2 of 3", False)


def test_what_others_wrote_is_text_on_the_page(config):
    recorded(config, "deploy/local/history.jsonl", at(0, reason="<script>alert(1)</script>"))
    assert "<script>" not in report.write(config)[1].read_text("utf-8")


def test_a_line_that_was_cut_short_costs_itself_only(config):
    recorded(config, "deploy/local/history.jsonl", at(0))
    with (config.var_dir / "deploy/local/history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"action": "dep')
    assert found(config)["all deployments"][0] == "100%, 1 of 1"


@pytest.mark.parametrize(
    ("here", "shown"), [(False, ("0%, 0 of 1", False)), (True, ("none yet", None))]
)
def test_only_a_reproduction_elsewhere_counts(config, monkeypatch, here, shown):
    class Verdict:
        run_id, exact, manifest = "a", False, None

        def lines(self):
            return []

    monkeypatch.setattr(commands, "settings", lambda: config)
    monkeypatch.setattr(reproduce, "reproduce", lambda *_, **__: Verdict())
    monkeypatch.setattr(reproduce, "since", lambda *_: [])
    with pytest.raises(commands.typer.Exit):
        commands.reproduce("a", here=here, full=False)
    assert found(config)["runs reproduced"] == shown
