"""The alerts, their tests and the dashboard speak of what is really measured and really there."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import ROOT
from ..project import app, compose, metrics, requests, service, settings

FOLDER = ROOT / "deploy" / "monitoring"
# What Prometheus and HAProxy (its addons/promex/README) measure about themselves, with its labels.
THEIRS = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate"},
    "haproxy_frontend_http_responses_total": {"proxy", "code"},
    "haproxy_server_active": {"proxy", "server"},
    "haproxy_server_backup": {"proxy", "server"},
    "haproxy_server_http_responses_total": {"proxy", "server", "code"},
    "haproxy_server_status": {"proxy", "server", "state"},
}
# What of PromQL is neither a metric nor a function; a function has a bracket after it.
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right"}
NAME = r"[A-Za-z_:][A-Za-z0-9_:]*"
SELECTOR = rf"({NAME})" + r"\s*(\(|\{[^}]*\})?"
LABELS = r"(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


DASHBOARDS = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((FOLDER / "grafana" / "dashboards").iterdir())
]
RULES = [rule for group in load("alerts.yml")["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTS = load("alerts_test.yml")["tests"]
JOBS = {job["job_name"]: job for job in load("prometheus.yml")["scrape_configs"]}


def ours() -> dict[str, set[str]]:
    """The series of the service, with their labels."""
    made = metrics.Metrics(["a"])
    made.expect_scores([0.5])
    for one in vars(made).values():
        if labels := getattr(one, "_labelnames", ()):
            one.labels(*labels)
    families = text_string_to_metric_families(made.exposition().decode())
    return {one.name: set(one.labels) for family in families for one in family.samples}


def added() -> set[str]:
    """The labels that Prometheus gives to everything that it asks for, or to a job's."""
    relabeled = (one for job in JOBS.values() for one in job.get("relabel_configs", []))
    return {"job", "instance", *(one["target_label"] for one in relabeled)}


def measured(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric that a PromQL expression names, and what stands in braces after it."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    for other in (r"\[[^]]*\]", LABELS, r"\b\d[\d.]*\w*"):  # durations, groupings, numbers
        bare = re.sub(other, " ", bare)
    for found in re.finditer(SELECTOR, bare):
        if found[2] != "(" and found[1] not in WORDS:
            yield found[1], found[2] or ""


def wrong(expression: str) -> list[str]:
    """What an expression names that nothing measures: metrics, labels, jobs, slots, paths."""
    recorded = {rule["record"]: set() for rule in RULES if "record" in rule}
    known = {**ours(), **THEIRS, **recorded}
    found = []
    for name, braces in measured(expression):
        labels = set(re.findall(rf"({NAME})\s*[=!]", braces))
        found += [name] if name not in known else sorted(labels - known[name] - added())
    grouped = {one.strip() for part in re.findall(LABELS, expression) for one in part.split(",")}
    found += sorted(grouped - {""} - set().union(*known.values(), added()))
    values = {"job": set(JOBS), "slot": set(compose.SLOTS), "server": set(compose.SLOTS),
              "path": set(app.PATHS), "kind": {"input", "feature", "score"}}  # fmt: skip
    for label, value in re.findall(rf'({NAME})\s*!?=~?\s*"([^"$]*)"', expression):
        found += sorted(set(value.split("|")) - values.get(label, set(value.split("|"))))
    return found


def queries(dashboard: dict[str, Any]) -> list[tuple[Any, str]]:
    """Where a dashboard asks, and what: its panels, annotations and variables."""
    found = [(target["datasource"], target["expr"])
             for panel in dashboard["panels"] for target in panel["targets"]]  # fmt: skip
    found += [(one["datasource"], one["expr"]) for one in dashboard["annotations"]["list"]]
    for one in dashboard["templating"]["list"]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["definition"]).groups()
        found.append((one["datasource"], f"sum by ({label}) ({metric})"))
    return found


def steps(dashboard: dict[str, Any], metric: str) -> set[float]:
    """Where the panels of a metric draw their lines."""
    return {
        step["value"]
        for panel in dashboard["panels"]
        if any(metric in target["expr"] for target in panel["targets"])
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        if step["value"] is not None
    }


def anchors() -> set[str]:
    """The headings of the runbook as GitHub links to them."""
    text = re.sub(r"```.*?```", "", (ROOT / "docs/runbook.md").read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def limit(alert: str, metric: str) -> float:
    """The number above which an alert's metric is too high."""
    (number,) = re.findall(rf"{metric}\)? > ([\d.]+)", ALERTS[alert]["expr"])
    return float(number)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_is_about_what_is_measured(rule):
    assert list(measured(rule["expr"]))
    assert wrong(rule["expr"]) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum(rate(ml_request_total[5m])) > 0", ["ml_request_total"]),
        ("ml_ready == 1 unless on (slot) ml_gone", ["ml_gone"]),
        ('ml_requests_total{code="500"}', ["code"]),
        ("sum by (slots) (ml_ready)", ["slots"]),
        ('up{job="services"}', ["services"]),
        ('ml_rows_total{slot=~"blue|gren"}', ["gren"]),
        ('ml_requests_total{path="/score"}', ["/score"]),
        ("histogram_quantile(0.99, sum by (le) (ml_score_bucket)) > 1e3", []),
    ],
)
def test_what_nothing_measures_is_found(expression, found):
    assert wrong(expression) == found


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_what_to_do(name):
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor in anchors()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_was_seen_to_fire_and_to_keep_quiet(name):
    cases = [case for test in TESTS for case in test["alert_rule_test"]
             if case["alertname"] == name]  # fmt: skip
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


def test_the_tests_of_the_alerts_feed_them_what_is_measured():
    series = [one["series"] for test in TESTS for one in test["input_series"]]
    # A server that is no slot is there to be overlooked.
    assert {one: found for one in series if (found := wrong(one)) and found != ["shadow"]} == {}
    tested = {case["alertname"] for test in TESTS for case in test["alert_rule_test"]}
    assert tested == set(ALERTS)


def test_an_alert_means_the_same_as_the_parameters(params):
    assert limit("DataDrift", "ml_drift_psi") == params.drift.psi
    assert limit("ModelStale", "ml_model_age_days") == params.monitoring.max_age_days
    (rows,) = re.findall(r"ml_rows_total >= (\d+)", ALERTS["DataDrift"]["expr"])
    assert int(rows) == service.WINDOW


def test_the_dashboards_lines_are_where_the_alerts_fire():
    (dashboard,) = DASHBOARDS
    assert steps(dashboard, "ml_drift_psi") == {limit("DataDrift", "ml_drift_psi")}
    age = limit("ModelStale", "ml_model_age_days")
    assert steps(dashboard, "max(ml_model_age_days") == {age}


def test_a_request_that_breaks_the_schema_is_counted_as_the_alert_expects():
    (status,) = re.findall(r'status="(\d+)"', ALERTS["RequestsRefused"]["expr"])
    with pytest.raises(requests.RefusedError) as refused:
        requests.parse(b'{"rows": [{"nobody allowed this": 1}]}')
    assert refused.value.status == int(status)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["uid"])
def test_a_dashboard_shows_what_is_measured(dashboard):
    provisioned = {
        (one["type"], one["uid"])
        for one in load("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    }
    for source, expression in queries(dashboard):
        assert (source["type"], source["uid"]) in provisioned
        assert wrong(expression) == [], expression


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["uid"])
def test_the_panels_of_a_dashboard_are_told_apart_and_do_not_overlap(dashboard):
    panels = dashboard["panels"]
    for what in ("id", "title"):
        assert [one for one, times in Counter(p[what] for p in panels).items() if times > 1] == []
    taken = Counter(
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    )
    assert max(taken.values()) == 1
    assert max(x for x, _ in taken) < 24
    for panel in panels:
        assert panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)


def test_every_instrument_is_on_the_dashboard():
    shown = {name for dashboard in DASHBOARDS for _, text in queries(dashboard)
             for name, _ in measured(text)}  # fmt: skip
    kept = [name for name in ours() if not name.endswith(("_sum", "_count", "_created"))]
    assert [name for name in kept if name not in shown] == []


def test_prometheus_asks_the_slots_and_the_gateway():
    (discovery,) = JOBS["service"]["dns_sd_configs"]
    assert tuple(discovery["names"]) == compose.SLOTS
    assert discovery["port"] == settings.Settings.model_fields["port"].default
    (relabel,) = JOBS["service"]["relabel_configs"]
    assert (relabel["source_labels"], relabel["target_label"]) == (["__meta_dns_name"], "slot")
    gateway = (ROOT / "deploy/gateway/haproxy.cfg").read_text(encoding="utf-8")
    (target,) = JOBS["gateway"]["static_configs"][0]["targets"]
    assert f"bind :{target.partition(':')[2]}\n" in gateway
    assert "use-service prometheus-exporter if { path /metrics }" in gateway


def test_what_is_named_by_address_or_path_is_in_compose():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    mounted = {name: [str(one).split(":")[-2 if str(one).endswith(":ro") else -1]
                      for one in service.get("volumes", [])]
               for name, service in services.items()}  # fmt: skip
    prometheus, alertmanager = load("prometheus.yml"), load("alertmanager.yml")
    assert set(prometheus["rule_files"]) <= set(mounted["prometheus"])
    (hooks,) = [one["webhook_configs"] for one in alertmanager["receivers"]]
    assert {hook["url_file"] for hook in hooks} <= set(mounted["alertmanager"])
    providers = load("grafana/provisioning/dashboards/dashboards.yml")["providers"]
    assert {one["options"]["path"] for one in providers} <= set(mounted["grafana"])
    (alerting,) = prometheus["alerting"]["alertmanagers"]
    sources = load("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    hosts = {target.partition(":")[0] for one in (alerting, JOBS["gateway"])
             for target in one["static_configs"][0]["targets"]}  # fmt: skip
    hosts |= {re.fullmatch(r"http://([a-z]+):\d+", source["url"])[1] for source in sources}
    assert hosts | set(compose.SLOTS) <= set(services)


def test_every_alert_reaches_somebody_and_no_secret_is_here():
    config = load("alertmanager.yml")
    receivers = {one["name"] for one in config["receivers"]}
    route = config["route"]
    assert {route["receiver"], *(one.get("receiver", route["receiver"]) for one in route["routes"])
            } <= receivers  # fmt: skip
    told = [matcher for one in config["inhibit_rules"] for part in one.values() for matcher in part]
    assert {re.fullmatch(r'alertname="(\w+)"', matcher)[1] for matcher in told} <= set(ALERTS)
    text = (FOLDER / "alertmanager.yml").read_text(encoding="utf-8")
    assert not re.search(r"https?://|(?<!_)url:|password|token", text)
