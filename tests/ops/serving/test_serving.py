"""The service: its contract, what it refuses and how it says so, and what it counts."""

import asyncio
import inspect
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter

import httpx
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from ..conftest import free_port, logged
from ..project import (
    answers,
    app,
    canary,
    constraints,
    data,
    errors,
    features,
    files,
    flavor,
    handover,
    model,
    package,
    prediction_log,
    registry,
    requests,
    schema,
    server,
    settings,
)
from ..project import service as serving

pytestmark = pytest.mark.xdist_group("workplace")

# Starts the service and, where it would take its port, prints the threads that libraries have.
# Some have no more than there are processors.
THREADS = f"""
import sys
from threadpoolctl import threadpool_info
from {package.__name__}.ops.cli import commands
from {package.__name__}.ops.serving import handover

def bind(*_):
    print(max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "openmp"))
    sys.exit()

handover.bind = bind
commands.main(["serve"])
"""
SECRET = 987654.5
COLUMNS = schema.Inputs.to_schema().columns
KINDS = {name: constraints.kind_of(column) for name, column in COLUMNS.items()}
WHOLE = [name for name, kind in KINDS.items() if kind == "i"]
NUMBERS = [name for name, kind in KINDS.items() if kind == "f"] or WHOLE
# A number that is a feature as well, if there is one; else the one that varies most.
NUMBER = next(
    (name for name in NUMBERS if name in features.features.names),
    data.load()[NUMBERS].nunique().idxmax(),
)


@pytest.fixture(scope="session")
def _bundle(trained_workplace, tmp_path_factory):
    version = registry.resolve(trained_workplace.config, "champion")
    return registry.fetch(trained_workplace.config, version, tmp_path_factory.mktemp("release"))


@pytest.fixture
def bundle(_bundle, tmp_path):
    """The champion's bundle, to be changed at will."""
    return shutil.copytree(_bundle, tmp_path / "release" / "bundle")


@pytest.fixture
def config(tmp_path):
    return settings.settings(root=tmp_path, var_dir=tmp_path / "var")


@pytest.fixture
def service(config, bundle):
    made = serving.Service(config, bundle)
    made.load()
    return made


@pytest.fixture
def client(service):
    """Talks to a service that is ready."""
    return TestClient(app.application(service))


@pytest.fixture
def row(bundle):
    """One valid row."""
    return golden(bundle)["inputs"][0]


def golden(bundle):
    return json.loads((bundle / "golden.json").read_text(encoding="utf-8"))


def body(*rows):
    """Rows as they are: NaN and Infinity too."""
    return json.dumps({"rows": list(rows)}).encode()


def post(client, *rows):
    return client.post("/predict", content=body(*rows))


def metric(client, name, **labels):
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    for line in client.get("/metrics").text.splitlines():
        if line.split("{")[0].split(" ")[0] == name and all(part in line for part in wanted):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name} {labels}")


def test_it_gives_the_golden_scores_and_says_who_gave_them(client, bundle):
    kept = golden(bundle)
    assert metric(client, "ml_rows_total") == 0, "its own proof is no traffic"
    answer = post(client, *kept["inputs"]).json()
    scores = [prediction["score"] for prediction in answer["predictions"]]
    np.testing.assert_allclose(scores, kept["scores"], rtol=1e-12)
    assert len({prediction["prediction_id"] for prediction in answer["predictions"]}) == len(scores)
    manifest = json.loads((bundle / "provenance.json").read_text(encoding="utf-8"))
    assert answer["model_digest"] == manifest["model_digest"]
    assert set(answer) == {"predictions", "classes", "model_version", "model_digest", "run_id"}


def test_the_description_names_the_schema_and_an_example_passes(client):
    body = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    row = body["content"]["application/json"]["schema"]["properties"]["rows"]["items"]
    assert set(row["properties"]) == set(schema.Inputs.to_schema().columns)
    assert all(row["properties"][name]["type"] == "integer" for name in WHOLE)
    kind = {"f": "number", "i": "integer"}[KINDS[NUMBER]]
    said = row["properties"][NUMBER]
    assert said["type"] == kind
    assert said.get("description") == COLUMNS[NUMBER].description
    limits = {check.name: check.statistics for check in COLUMNS[NUMBER].checks}.get("in_range")
    if limits:
        limits = limits["min_value"], limits["max_value"]
        assert (said["minimum"], said["maximum"]) == limits
    assert row["additionalProperties"] is False
    answers = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    assert {*answers} == {"200", "400", "408", "413", "422", "500", "503"}


TOO_LARGE = "must be a number from " if NUMBER in WHOLE else "must be a finite number"


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"shoe_size": SECRET}, "shoe_size", "is not a column"),
        ({schema.IDENTIFIER: f"P{SECRET}"}, schema.IDENTIFIER, "is not a column"),
        ({NUMBER: None}, NUMBER, "is null"),
        ({NUMBER: str(SECRET)}, NUMBER, "must be a number"),
        ({NUMBER: True}, NUMBER, "must be a number"),
        ({NUMBER: [SECRET]}, NUMBER, "must be a single value"),
        ({NUMBER: float("nan")}, NUMBER, "must be a finite number"),
        ({NUMBER: float("-inf")}, NUMBER, "must be a finite number"),
        ({NUMBER: 10**400}, NUMBER, TOO_LARGE),
        ({NUMBER: SECRET}, NUMBER, ""),
        *(({name: 10**30}, name, "must be a number from ") for name in WHOLE[:3]),
        *(({name: 1.5}, name, "must be a whole number") for name in WHOLE[:3]),
        *(({name: 987654}, name, "") for name in WHOLE[:3]),
    ],
)
def test_a_row_that_breaks_the_schema_is_named_but_its_values_are_not(
    client, row, change, column, reason
):
    answer = post(client, row, {**row, **change})
    assert answer.status_code == 422
    broken = answer.json()["violations"]
    assert broken[0]["reason"] in answer.json()["detail"]
    # A rule over several columns may be broken too.
    named = [one["reason"] for one in broken if (one["row"], one["column"]) == (1, column)]
    assert reason in named[0]
    assert "987654" not in answer.text
    assert metric(client, "ml_schema_violations_total",
                  column=column if column in row else "other") >= 1  # fmt: skip


def test_a_missing_column_is_named(client, row):
    row.pop(NUMBER)
    answer = post(client, row).json()
    assert answer["detail"] == f"row 0, column {NUMBER}: is missing"
    assert answer["violations"] == [{"row": 0, "column": NUMBER, "reason": "is missing"}]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "not JSON"),
        ("[" * 100_000, 400, "not JSON"),
        ('{"rows": [' + "9" * 5000 + "]}", 400, "not JSON"),
        ("[]", 422, "the body must be"),
        ('{"rows": 1}', 422, "the body must be"),
        ('{"rows": [], "more": 1}', 422, "the body must be"),
        ('{"rows": []}', 422, "between 1 and 1000 rows"),
        ('{"rows": [1]}', 422, "row 0: must be an object"),
        ('{"rows": [' + "{}," * 1000 + "{}]}", 422, "between 1 and 1000 rows"),
        (" " * (requests.MAX_BODY + 1), 413, "larger than 1024 KiB"),
        (b"\xff\xfe", 400, "not JSON"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(client, body, status, said):
    answer = client.post("/predict", content=body)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True)


def test_a_long_list_of_violations_is_cut(client, row):
    answer = post(client, *[{**row, NUMBER: None}] * 200).json()
    assert len(answer["violations"]) == requests.MAX_SHOWN
    assert answer["detail"].endswith("(and at least 49 more)")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([{}] * 1000, "is missing", id="rows without a value"),
        pytest.param([1] * 1000, "must be an object", id="no rows at all"),
        pytest.param([{str(n): 1 for n in range(5000)}] * 10, "names", id="many names"),
    ],
)
def test_a_refusal_reads_no_further_than_it_names(monkeypatch, rows, said):
    """Pydantic would make ten thousand violations of the first, which takes seven answers' time."""
    checked = []
    adapter = requests.ROW

    class Counted:
        def validate_python(self, row):
            checked.append(row)
            return adapter.validate_python(row)

    monkeypatch.setattr(requests, "ROW", Counted())
    with pytest.raises(requests.RefusedError, match=said) as refused:
        requests.parse(body(*rows))
    assert len(checked) <= requests.MAX_SHOWN
    assert len(refused.value.violations) < requests.MAX_SHOWN + len(COLUMNS)


ONE = "an object has the same name twice"
HALF = "text must not hold half a surrogate pair"


@pytest.mark.parametrize(
    ("old", "new", "status", "said"),
    [
        (f'"{NUMBER}": ', f'"{NUMBER}": 1, "{NUMBER}": ', 422, ONE),
        ('{"rows": ', '{"rows": [], "rows": ', 422, ONE),
        (f'"{NUMBER}"', r'"\ud800"', 422, HALF),
        (f'"{NUMBER}": ', rf'"{NUMBER}": "\uDFFF", "other": ', 422, HALF),
        (f'"{NUMBER}"', r'"\ud83d\ude00"', 422, f"row 0, column {NUMBER}: is missing"),
        (f'"{NUMBER}": ', f'"{NUMBER}": NaN, "other": ', 422, "must be a finite number"),
        (f'"{NUMBER}": ', f'"{NUMBER}": Infinity, "other": ', 422, "must be a finite number"),
        (f'"{NUMBER}": ', f'"{NUMBER}": 1e999, "other": ', 422, "must be a finite number"),
    ],
)
def test_json_that_readers_understand_differently_is_refused(client, row, old, new, status, said):
    sent = body(row).decode()
    assert old in sent
    answer = client.post("/predict", content=sent.replace(old, new, 1).encode())
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text


def mutated(random, row):
    """A body that is valid, or nearly so."""
    odd = [
        None,
        True,
        "",
        "\ud800",
        "x" * 5000,
        [],
        {},
        [[1]],
        -1,
        0,
        1e308,
        10**400,
        0.1,
        float("nan"),
    ]
    rows = [dict(row) for _ in range(random.choice([1, 1, 1, 3, 60]))]
    for one in random.choices(rows, k=random.randrange(3)):
        one[random.choice([*row, "other", "\udfff", ""])] = random.choice([*odd, *row.values()])
    sent = json.dumps(random.choice([{"rows": rows}] * 6 + [rows, {"rows": rows, "more": 1}]))
    text = sent.encode()
    for _ in range(random.choice([0, 0, 1, 3])):
        at = random.randrange(len(text))
        text = (
            text[:at]
            + random.choice([b"", b"\xff", b'"', b"}", b"\\u", b"9" * 99])
            + text[at + 1 :]
        )
    return text


def test_whatever_bytes_come_none_brings_the_service_down(client, row):
    chance = random.Random(0)
    bodies = [mutated(chance, row) for _ in range(2000)]
    statuses = Counter(client.post("/predict", content=sent).status_code for sent in bodies)
    assert statuses.keys() == {200, 400, 422}, statuses
    assert min(statuses.values()) > 10


async def ask(application, *messages, path="/predict", port=80, length=0):
    """Send a request as a server would, with what comes of its body; return status and headers."""
    scope = {"type": "http", "method": "POST" if messages else "GET", "path": path,
             "headers": [(b"content-length", str(length).encode())] if length else [],
             "query_string": b"", "server": ("127.0.0.1", port)}  # fmt: skip
    left, answers = iter(messages), []

    async def receive():
        message = next(left, {"type": "http.disconnect"})
        return await message if inspect.isawaitable(message) else message

    async def send(message):
        answers.append(message)

    await application(scope, receive, send)
    return answers[0]["status"], dict(answers[0]["headers"])


def part(content, more=True):  # noqa: FBT002 - as ASGI has it
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_client_that_hangs_up_is_no_error_and_no_request_of_a_canary(service, row, caplog):
    application = app.application(service)
    assert asyncio.run(ask(application, part(body(row)[:20])))[0] == app.CLIENT_CLOSED
    assert not caplog.records
    client = TestClient(application)
    assert metric(client, "ml_requests_total", path="other", status="499") == 1
    assert canary.read(client.get("/metrics").text) == canary.Count()


def test_a_body_that_takes_too_long_is_given_up(service, row):
    service.settings.read_seconds = 0.05
    status, _ = asyncio.run(ask(app.application(service), part(body(row)[:20]), asyncio.sleep(9)))
    assert status == 408


def test_long_bodies_in_memory_are_bounded_and_short_ones_are_answered(service, row, monkeypatch):
    monkeypatch.setattr(app, "MAX_LONG", 2)
    application = app.application(service)
    content = part(body(row), more=False)

    async def asked():
        """Two that say how long they are, or do not, and go on sending."""
        lengths = [app.SHORT + 1, 0]
        slow = [
            asyncio.create_task(ask(application, part(b" "), asyncio.sleep(30), length=length))
            for length in lengths
        ]
        await asyncio.sleep(0)
        refused = await ask(application, content)
        small = await ask(application, content, length=app.SHORT)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        return refused, small, await ask(application, content)

    (refused, headers), (small, _), (later, _) = asyncio.run(asked())
    assert (refused, headers[b"retry-after"], small, later) == (503, b"1", 200, 200)


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/redoc"])
def test_metrics_and_docs_leave_the_public_port_for_one_of_their_own(service, path):
    application = app.application(service)
    assert asyncio.run(ask(application, path=path, port=service.settings.port))[0] == 200
    service.settings.metrics_port = 9000
    assert asyncio.run(ask(application, path=path, port=service.settings.port))[0] == 404
    assert asyncio.run(ask(application, path=path, port=9000))[0] == 200
    assert asyncio.run(ask(application, path="/readyz", port=service.settings.port))[0] == 200


def test_a_connection_that_sends_no_whole_header_is_closed_and_their_number_is_bounded(service):
    service.settings.max_connections = 2
    made = server._Server(service)
    made.config.timeout_keep_alive = 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=made.run, args=([listener],))
        thread.start()
        silent, other = (socket.create_connection(listener.getsockname(), 5) for _ in range(2))
        with silent, other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert other.recv(1000).startswith(b"HTTP/1.1 503")
            silent.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert silent.recv(1000) == b""
        made.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


def test_the_log_of_a_deployed_process_is_cut(service, bundle, monkeypatch):
    monkeypatch.setattr(server, "LOG_BYTES", 10)
    path = bundle.parent / "service.log"
    made = server._Server(service, (None, None))
    with path.open("ab") as log:
        log.write(b"first, long enough\n")
        log.flush()
        asyncio.run(made.on_tick(1))
        assert path.read_bytes() == b"first, long enough\n"
        asyncio.run(made.on_tick(100))
        log.write(b"second\n")
    assert path.read_bytes() == b"second\n"
    assert path.with_suffix(".log.1").read_bytes() == b"first, long enough\n"


def test_a_full_queue_is_refused_at_once_under_load(service, row, monkeypatch):
    """Whoever waits gets an answer, whoever does not fit a 503 that says when to come back."""
    service.settings.max_queue = 8
    predict, going = service.predict, threading.Event()

    def slowly(bodies):
        assert going.wait(20)
        return predict(bodies)

    monkeypatch.setattr(service, "predict", slowly)
    application = app.application(service)

    async def load():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            asked = [client.post("/predict", content=body(row)) for _ in range(40)]
            tasks = [asyncio.create_task(one) for one in asked]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            refused = sum(task.done() for task in tasks)
            going.set()
            return refused, await asyncio.gather(*tasks)

    refused, given = asyncio.run(load())
    assert refused > 0, "nobody waits to be refused"
    statuses = Counter(one.status_code for one in given)
    assert statuses.keys() == {200, 503}
    assert 8 <= statuses[200] <= 16, "those that fit, and those that were being answered"
    for one in given:
        assert one.headers.get("retry-after") == ("1" if one.status_code == 503 else None)
    assert metric(TestClient(application), "ml_rejected_requests_total") == statuses[503]


def test_the_service_does_not_import_what_loads_the_data():
    """Its image lacks the packages that only training needs."""
    name = package.__name__
    code = f"import sys, {name}.ops.serving.server; print('{name}.data' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_it_is_not_ready_before_the_model_is_loaded(config, bundle, row):
    service = serving.Service(config, bundle)
    client = TestClient(app.application(service))
    assert client.get("/healthz").status_code == 200
    for answer in (client.get("/readyz"), post(client, row)):
        assert answer.status_code == 503
        assert answer.json() == {"detail": "not ready: the model is being loaded"}
    assert metric(client, "ml_ready") == 0
    service.load()
    assert client.get("/readyz").json()["status"] == "ready"
    assert metric(client, "ml_ready") == 1


def refused(config, bundle):
    """Why the bundle is not served."""
    service = serving.Service(config, bundle)
    with pytest.raises(errors.UserError) as error:
        service.load()
    client = TestClient(app.application(service))
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").json()["detail"] == f"not ready: {error.value}"
    return str(error.value)


def test_another_model_than_the_recorded_one_is_refused(config, bundle):
    path = bundle / "provenance.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "model_digest": "0" * 64}), encoding="utf-8")
    assert "is not the one that its run recorded" in refused(config, bundle)


@pytest.mark.parametrize("name", ["provenance.json", "reference.json", "model"])
def test_a_bundle_with_a_part_missing_is_refused(config, bundle, name):
    path = bundle / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert refused(config, bundle)


def test_features_that_compute_something_else_are_refused(config, bundle, monkeypatch):
    name, function = next(iter(features.features.functions.items()))
    monkeypatch.setitem(features.features.functions, name, lambda rows: function(rows) * 3 + 7)
    assert re.fullmatch(r"golden prediction \d is .*, but was .* at training",
                        refused(config, bundle))  # fmt: skip


def test_features_that_fail_are_refused(config, bundle, monkeypatch):
    name = features.features.names[0]
    monkeypatch.setitem(features.features.functions, name, lambda _: {}["gone"])
    assert refused(config, bundle) == "golden predictions: scoring failed: KeyError"


def test_golden_rows_that_the_schema_refuses_are_named(config, bundle):
    kept = golden(bundle)
    kept["inputs"][1][NUMBER] = None
    (bundle / "golden.json").write_text(json.dumps(kept), encoding="utf-8")
    said = refused(config, bundle)
    assert said == f"golden predictions: row 1, column {NUMBER}: is null"


def test_the_proof_is_neither_logged_nor_counted(config, bundle, monkeypatch):
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda fitted, x: predict(fitted, x) * np.nan)
    service = serving.Service(config, bundle)
    with pytest.raises(errors.UserError, match="golden predictions: the score of row 0 is not"):
        service.load()
    client = TestClient(app.application(service))
    assert metric(client, "ml_nonfinite_total", kind="score") == 0
    assert metric(client, "ml_scoring_failures_total") == 0
    monkeypatch.setattr(model, "predict", predict)
    service.load()
    assert metric(client, "ml_rows_total") == 0
    assert logged(config.var_dir).empty


def test_serve_ends_with_one_line_where_a_golden_score_differs(workplace, changed, monkeypatch):
    """The process, not only its answers: engines restart or give up what does not start."""
    version = registry.resolve(workplace.config, "champion")
    folder = registry.fetch(workplace.config, version, workplace.config.var_dir / "other")
    kept = golden(folder)
    kept["scores"] = (np.asarray(kept["scores"]) + 0.5).tolist()
    (folder / "golden.json").write_text(json.dumps(kept), encoding="utf-8")
    about = {"version": version.number, "run_id": version.run_id, "digest": version.digest}
    about["bundle"] = files.sha256_folder(folder)
    (folder.parent / "release.json").write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.setenv("ML_PORT", str(free_port()))
    done = subprocess.run(
        [sys.executable, "-m", package.__name__, "serve", "--release", folder.parent],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"error: golden prediction 0 is .* at training\n", done.stderr), done.stderr


def test_a_release_about_another_model_is_refused(config, bundle):
    about = bundle.parent / "release.json"
    release = {"version": "3", "run_id": "r", "digest": "0", "bundle": files.sha256_folder(bundle)}
    about.write_text(json.dumps(release), encoding="utf-8")
    assert "not of one model" in refused(config, bundle)
    about.write_text("{", encoding="utf-8")
    assert "is damaged; deploy again" in refused(config, bundle)


@pytest.mark.parametrize("name", ["golden.json", "reference.json", "model/MLmodel"])
def test_files_that_are_not_the_release_s_are_refused_unread(config, bundle, monkeypatch, name):
    manifest = json.loads((bundle / "provenance.json").read_text(encoding="utf-8"))
    about = {"version": "3", "run_id": "r", "digest": manifest["model_digest"]}
    about["bundle"] = files.sha256_folder(bundle)
    (bundle.parent / "release.json").write_text(json.dumps(about), encoding="utf-8")
    (bundle / name).write_bytes((bundle / name).read_bytes() + b" ")
    monkeypatch.setattr(flavor, "load", pytest.fail)
    assert "are not of one model" in refused(config, bundle)


def test_a_release_names_the_version(config, bundle, row):
    manifest = json.loads((bundle / "provenance.json").read_text(encoding="utf-8"))
    about = {"version": "3", "run_id": "r", "digest": manifest["model_digest"]}
    about["bundle"] = files.sha256_folder(bundle)
    (bundle.parent / "release.json").write_text(json.dumps(about), encoding="utf-8")
    service = serving.Service(config, bundle)
    service.load()
    client = TestClient(app.application(service))
    answer = post(client, row).json()
    assert (answer["model_version"], answer["run_id"]) == ("3", "r")
    assert metric(client, "ml_model_info", version="3", run_id="r") == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_never_given(client, row, config, monkeypatch, value):
    predict = model.predict

    def fail_after_the_first(fitted, x):
        scores = np.array(predict(fitted, x), dtype="float64")
        scores[1:] = value
        return scores

    monkeypatch.setattr(model, "predict", fail_after_the_first)
    assert post(client, row).status_code == 200
    answer = post(client, row, row)
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "the score of row 1 is not a finite number; none is returned"
    }
    assert metric(client, "ml_nonfinite_total", kind="score") == 1
    assert metric(client, "ml_scoring_failures_total") == 1
    found = logged(config.var_dir)
    assert found["problem"].dropna().tolist() == ["score not finite"]
    assert len(prediction_log.features(found)) == 1


def test_requests_answered_together_get_what_each_gets_alone(service, bundle, config):
    inputs = golden(bundle)["inputs"][:4]
    bodies = [
        body(inputs[0]),
        body({**inputs[1], NUMBER: None}),
        body({**inputs[1], NUMBER: 1e300}),
        b"{",
        body(*inputs[1:3]),
        body(inputs[3]),
    ]
    together = service.predict(bodies)
    alone = [service.predict([one])[0] for one in bodies]
    assert [type(answer) for answer in together] == [type(answer) for answer in alone]
    assert [vars(answer) for answer in together[1:4]] == [vars(answer) for answer in alone[1:4]]
    for one, other in zip(together, alone, strict=True):
        if isinstance(one, answers.Answer):
            scores = [[p.score for p in answer.predictions] for answer in (one, other)]
            np.testing.assert_allclose(*scores, rtol=flavor.TOLERANCE)
    # Logged and counted once each time.
    assert len(logged(config.var_dir)) == 2 * len(inputs)
    counted = service.metrics.violations.labels(NUMBER)._value.get()
    refused = [violation for answer in together[1:4] for violation in answer.violations]
    assert counted == 2 * sum(violation.column == NUMBER for violation in refused) > 2


def test_a_row_that_cannot_be_scored_fails_for_its_own_request_only(
    service, bundle, config, monkeypatch
):
    inputs, predict = golden(bundle)["inputs"][:3], model.predict

    def fail_for_one(fitted, x):
        scores = np.array(predict(fitted, x), dtype="float64")
        return np.where(rows_of(scores, inputs[1], x), np.nan, scores)

    def rows_of(scores, row, x):
        wanted = features.features.build(pd.DataFrame([row])).to_numpy()
        found = (x.to_numpy() == wanted).all(axis=1)
        return found.reshape(-1, *[1] * (scores.ndim - 1))

    monkeypatch.setattr(model, "predict", fail_for_one)
    first, second, third = service.predict([body(row) for row in inputs])
    assert isinstance(first, answers.Answer)
    assert isinstance(third, answers.Answer)
    assert (second.status, second.detail[:16]) == (500, "the score of row")
    assert service.metrics.failures._value.get() == 1
    found = logged(config.var_dir)
    assert found["problem"].dropna().tolist() == ["score not finite"]


def test_a_model_that_raises_is_told_without_its_words(client, row, monkeypatch, caplog):
    def fail(_model, _x):
        raise ValueError(f"could not convert {SECRET}")

    monkeypatch.setattr(model, "predict", fail)
    answer = post(client, row)
    assert (answer.status_code, answer.json()) == (500, {"detail": "scoring failed: ValueError"})
    assert "scoring failed: ValueError, File" in caplog.text
    assert str(SECRET) not in caplog.text


def test_an_error_past_the_model_is_told_without_its_words(client, row, monkeypatch, caplog):
    def fail(*_):
        raise ValueError(f"could not convert {SECRET}")

    monkeypatch.setattr(answers, "_answers", fail)
    answer = post(client, row)
    assert (answer.status_code, answer.json()) == (500, {"detail": "answering failed: ValueError"})
    assert "answering failed: ValueError, File" in caplog.text
    assert str(SECRET) not in caplog.text


def test_a_feature_that_is_no_number_is_counted(client, row, monkeypatch):
    name = features.features.names[0]
    monkeypatch.setitem(features.features.functions, name, lambda rows: rows[NUMBER] * np.inf)
    assert post(client, row).status_code == 500
    assert metric(client, "ml_nonfinite_total", kind="feature") == 1


def test_what_is_served_is_logged_as_features(client, row, config):
    answer = post(client, row, row).json()
    found = logged(config.var_dir)
    assert found["prediction_id"].tolist() == [p["prediction_id"] for p in answer["predictions"]]
    assert found["score"].tolist() == [p["score"] for p in answer["predictions"]]
    assert set(found["model_digest"]) == {answer["model_digest"]}
    expected = features.features.build(pd.DataFrame([row, row]))
    pd.testing.assert_frame_equal(prediction_log.features(found), expected)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_missing_feature_is_null_in_the_log_and_missing_when_read(tmp_path, odd):
    x = pd.DataFrame({"some": [odd, 1.5], "all": [np.nan, odd], "whole": [1, 2]})
    log = prediction_log.Log(tmp_path, "1", "digest")
    log.predictions(["first", "second"], x, np.array([0.25, 0.5]))
    (path,) = (tmp_path / "predictions").iterdir()
    lines = path.read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0], parse_constant=pytest.fail)  # NaN is not JSON
    assert first["features"] == {"some": None, "all": None, "whole": 1}
    found, x = logged(tmp_path), x.replace(odd, np.nan)
    pd.testing.assert_frame_equal(prediction_log.features(found), x)
    alone = found[found["prediction_id"] == "first"]
    assert prediction_log.features(alone)["some"].dtype == np.float64


def test_the_log_can_be_switched_off(config, bundle, row):
    config.log_predictions = False
    service = serving.Service(config, bundle)
    service.load()
    assert post(TestClient(app.application(service)), row).status_code == 200
    assert logged(config.var_dir).empty


def test_a_log_that_cannot_be_written_costs_no_answer(client, service, row, tmp_path):
    service.predictions.folder = tmp_path / "file" / "below"
    (tmp_path / "file").touch()
    assert post(client, row).status_code == 200
    assert metric(client, "ml_unlogged_predictions_total") == 1


def test_requests_and_rows_are_counted(client, row):
    post(client, row, row)
    post(client, {})
    client.get("/no/such/page")
    assert metric(client, "ml_rows_total") == 2
    assert metric(client, "ml_score_count") == 2
    assert metric(client, "ml_requests_total", path="/predict", status="200") == 1
    assert metric(client, "ml_requests_total", path="/predict", status="422") == 1
    assert metric(client, "ml_requests_total", path="other", status="404") == 1
    assert metric(client, "ml_request_seconds_count", path="/predict") == 2
    assert 0 <= metric(client, "ml_model_age_days") < 1


def test_the_drift_gauges_see_a_shift(client, split, inputs, params):
    with pytest.raises(AssertionError, match="no metric ml_drift_psi"):
        metric(client, "ml_drift_psi", kind="input", column=NUMBER)
    rows = split.holdout[list(inputs)]
    assert post(client, *rows.to_dict("records")).status_code == 200
    assert metric(client, "ml_drift_psi", kind="input", column=NUMBER) < params.drift.psi
    for _ in range(10):
        moved = rows.assign(**{NUMBER: inputs[NUMBER].quantile(0.95)})
        assert post(client, *moved.to_dict("records")).status_code == 200
    assert metric(client, "ml_drift_psi", kind="input", column=NUMBER) > 1
    if NUMBER in features.features.names:
        assert metric(client, "ml_drift_psi", kind="feature", column=NUMBER) > 1
    still = [name for name in NUMBERS if name != NUMBER]
    for name in still:
        assert metric(client, "ml_drift_psi", kind="input", column=name) < params.drift.psi


def test_a_server_that_is_ending_asks_its_clients_to_hang_up(client, service, row):
    assert "connection" not in post(client, row).headers
    service.draining = True
    assert post(client, row).headers["connection"] == "close"


def test_answers_are_sent_at_once():
    """With Nagle's algorithm, a small answer waits 40 ms for the client to confirm its header."""

    async def connect():
        connected = asyncio.Event()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                self.at_once = transport.get_extra_info("socket").getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY
                )
                made.append(self)
                connected.set()

        made: list[Protocol] = []
        listener = handover.bind("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(Protocol, sock=listener)
        async with server:
            _, writer = await asyncio.open_connection(*listener.getsockname())
            await connected.wait()
            writer.close()
        return made[0].at_once

    assert asyncio.run(connect()) == 1


def test_a_port_in_use_and_an_unknown_version_are_said_in_one_line(workplace, monkeypatch):
    config = settings.settings(root=workplace.root, var_dir=workplace.config.var_dir)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(config, "port", taken.getsockname()[1])
        with pytest.raises(errors.UserError, match="cannot be used"):
            server.run(config)
    with pytest.raises(errors.UserError, match="has no version 77"):
        server.run(config, "77")


def test_a_registered_version_is_served_under_its_number(workplace, monkeypatch):
    config = settings.settings(root=workplace.root, var_dir=workplace.config.var_dir)
    seen = []
    monkeypatch.setattr(server._Server, "run", lambda *given: seen.append(given))
    port = free_port()
    monkeypatch.setattr(config, "port", port)
    server.run(config)
    ((made, (listener,)),) = seen
    version = registry.resolve(config, "champion")
    with listener:
        assert listener.getsockname()[1] == port
    assert made.service.version == str(version.number)
    assert made.service.run_id == version.run_id
    assert made.service.bundle.manifest.model_digest == version.digest


def test_a_service_has_the_recipe_s_threads_unless_told_otherwise(workplace, changed, monkeypatch):
    """However many processors the machine has: the service may have fewer of them."""
    recipe = (os.cpu_count() or 1) + 1
    changed("params.yaml", f"threads: {workplace.config.params.threads}", f"threads: {recipe}")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout == f"{recipe}\n", done.stderr
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert settings.thread_variables(recipe) == {"OMP_NUM_THREADS": "2"}
