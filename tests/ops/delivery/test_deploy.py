"""Deployments: whatever goes wrong with a new release, the old one goes on answering.

The releases here are tiny services that pass their sockets on as the real one does; everything
around them is real. The last test deploys the real model.
"""

import contextlib
import errno
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ..conftest import free_port
from ..project import (
    canary,
    commands,
    deploy,
    errors,
    files,
    golden,
    handover,
    local,
    package,
    registry,
    release,
    settings,
    workspace,
)

SERVICE = f"""
import argparse, json, os, pathlib, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from {package.__name__}.ops.serving.handover import Handover, State
"""
SERVICE += """
parser = argparse.ArgumentParser()
parser.add_argument("bundle", type=pathlib.Path)
for name in ("private", "deployment"):
    parser.add_argument(f"--{name}", type=int)
given = parser.parse_args()
deployment = socket.socket(fileno=given.deployment)
does = json.loads((given.bundle / "does.json").read_text())
servers, counts, seconds = [], {}, []

def metrics():
    lines = ["# TYPE ml_requests counter"]
    for status, count in counts.items():
        lines.append('ml_requests_total{path="/predict",status="%s"} %s' % (status, count))
    lines.append("# TYPE ml_request_seconds histogram")
    lines.append('ml_request_seconds_sum{path="/predict"} %s' % sum(seconds))
    return "\\n".join(lines) + "\\n"

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/metrics":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(metrics().encode())
            return
        status = does.get("status", 200)
        if servers[1:]:
            status = does.get("unready", status)
        self.answer(status, {"model_digest": does["digest"]})

    def do_POST(self):
        begun = time.monotonic()
        if servers[1:]:  # public: what it does wrong it does only there
            time.sleep(does.get("slow", 0))
            status = does.get("public", 200)
        else:
            status = 200
        counts[status] = counts.get(status, 0) + 1
        seconds.append(time.monotonic() - begun)
        if status != 200:
            self.answer(status, {"detail": "no"})
            return
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["rows"]
        self.answer(200, {"predictions": [{"score": does["score"]} for _ in rows]})

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_): pass

class Server(ThreadingHTTPServer):
    daemon_threads = False

def end(*_):
    for server in servers:
        threading.Thread(target=server.shutdown).start()

def serve(listener):
    server = Server(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.socket.setblocking(False)
    server.socket.listen(64)
    servers.append(server)
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()

def accept(listener):
    if "stillborn" in does:
        os._exit(3)
    serve(listener)
    if "dies" in does:
        threading.Thread(target=die, daemon=True).start()

def die():
    time.sleep(does["dies"])
    os._exit(7)

if "error" in does:
    deployment.sendall(f"error: {does['error']}\\n".encode())
    sys.exit(1)
if "crash" in does:
    raise ImportError(does["crash"])
signal.signal(signal.SIGTERM, end)
private = socket.socket(fileno=given.private)
state = State(
    release=int(given.bundle.parent.name), pid=os.getpid(), host=os.environ["ML_HOST"],
    port=os.environ["ML_PORT"], private=private.getsockname()[1],
)
serve(private)
if "hangs" in does:
    time.sleep(60)
part = Handover(pathlib.Path.cwd(), state, accept, lambda: os.kill(os.getpid(), signal.SIGTERM))
threading.Thread(target=part.follow, args=(deployment,), daemon=True).start()
while any(thread.is_alive() for thread in threading.enumerate()[1:] if not thread.daemon):
    time.sleep(0.02)
"""


class Driver(local.Local):
    """Local, but for what a release is made of: `does` says how the next one behaves."""

    def __init__(self, config):
        super().__init__(config)
        self.does = {}

    def build(self, number, reference):
        folder = self.releases.path(number)
        remove(folder)
        code = folder / "code" / "tiny" / "ops" / "serving"
        code.mkdir(parents=True)
        for path in (code.parents[1], code.parent, code):
            (path / "__init__.py").touch()
        (code / "server.py").write_text(SERVICE, encoding="utf-8")
        own = Path(package.__file__).parents[1]
        does = {"digest": reference * 16, "score": float(number), **self.does}
        (folder / "bundle").mkdir()
        (folder / "bundle" / "does.json").write_text(json.dumps(does), encoding="utf-8")
        made = release.Release(
            version="1", digest=reference * 16, run_id="r", commit="c", package="tiny",
            python=sys.executable, source=f"{folder}/code:{own}",
            environment={"ML_LOG_PREDICTIONS": "1"},
        )  # fmt: skip
        self._half_built()
        files.write_json(folder / "release.json", made.model_dump())
        return made

    def _half_built(self):
        """Nothing: a test ends the deployment here."""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """An environment of its own on a free port, stopped at the end."""
    monkeypatch.setattr(workspace, "discard", lambda _root, folder: remove(folder))
    monkeypatch.setattr(deploy, "_audit", lambda *_: None)
    monkeypatch.setattr(local, "STEADY_SECONDS", 0.3)
    made = Driver(
        settings.settings(
            root=tmp_path, var_dir=tmp_path / "var", port=free_port(), canary_seconds=0
        )
    )
    yield made
    made.folder.mkdir(parents=True, exist_ok=True)
    made.stop()


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


def ask(driver):
    """The score of the release that answers; each release answers with its own number."""
    connection = http.client.HTTPConnection("127.0.0.1", driver.settings.port, timeout=5)
    with contextlib.closing(connection):
        connection.request("POST", "/predict", json.dumps({"rows": [{"x": 1}]}))
        return json.loads(connection.getresponse().read())["predictions"][0]["score"]


def answers(driver):
    try:
        ask(driver)
    except (OSError, http.client.HTTPException):
        return False
    return True


def history(driver):
    return list(files.read_lines(driver.folder / deploy.HISTORY))


def last(driver):
    return history(driver)[-1]


def until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def gone(pid):
    """Whether a process has ended, also where nobody has asked for its exit status yet."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


class Load(threading.Thread):
    """Asks without a pause, a new connection each time, and keeps what failed."""

    def __init__(self, driver):
        super().__init__()
        self.driver, self.scores, self.failed, self.going = driver, [], [], True

    def run(self):
        while self.going:
            try:
                self.scores.append(ask(self.driver))
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failed.append(error)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.join()


def test_a_release_answers_until_the_next_takes_over_and_no_request_is_lost(driver):
    first = deploy.deploy(driver, "abcd")
    assert (first["release"], first["outcome"], ask(driver)) == (1, "ok", 1.0)
    with Load(driver) as load:
        deploy.deploy(driver, "abcd")
        time.sleep(0.2)
        deploy.rollback(driver)
        time.sleep(0.2)
    assert load.failed == []
    assert set(load.scores) == {1.0, 2.0}
    assert ask(driver) == 1.0
    status = driver.status()
    assert (status["state"], status["release"], status["previous"]) == ("answering", 1, 2)
    entries = history(driver)
    assert [entry["action"] for entry in entries] == ["deploy", "deploy", "rollback"]
    assert all({"who", "time", "commit", "version", "digest", "seconds"} <= set(e) for e in entries)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ({"error": "golden prediction 0 is 0.5, but"}, "not ready: golden prediction 0 is 0.5"),
        ({"crash": "no such library"}, "no such library"),
        ({"status": 503}, "the service is not ready"),
        ({"digest": "another"}, "another model"),
        ({"stillborn": True}, "ended with exit code 3"),
        ({"hangs": True}, "not ready: it was given up after"),
        ({"unready": 503}, "the service is not ready"),
        ({"dies": 0.1}, "failed"),
    ],
)
def test_a_release_that_is_not_right_never_takes_over(driver, does, reason, monkeypatch):
    deploy.deploy(driver, "abcd")
    pid = driver.state().pid
    if "hangs" in does:
        monkeypatch.setattr(local, "START_SECONDS", 0.5)
    driver.does = does
    with Load(driver) as load, pytest.raises(errors.UserError, match=reason):
        deploy.deploy(driver, "abcd")
    # What it answered before it died was right, but a request may die with it.
    assert "dies" in does or load.failed == []
    assert set(load.scores) <= ({1.0, 2.0} if {"dies", "unready"} & {*does} else {1.0})
    with Load(driver) as load:
        time.sleep(0.2)
    assert load.failed == []
    assert set(load.scores) == {1.0}
    assert driver.state().pid == pid
    assert (last(driver)["outcome"], driver.releases.kept()) == ("failed", [1])
    assert reason in last(driver)["reason"]
    driver.does = {}
    monkeypatch.undo()
    assert deploy.deploy(driver, "abcd")["release"] == 3


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ({"public": 500}, r"canary: \d+ of \d+ requests failed, 0 of \d+ on the old release"),
        ({"public": 422}, r"canary: 100% of the requests were refused, 0% by the old release"),
        ({"slow": 0.2}, r"canary: a request takes \d+ ms, \d+ ms on the old release"),
    ],
)
def test_a_release_that_does_worse_than_the_old_one_is_taken_back(driver, does, reason):
    deploy.deploy(driver, "abcd")
    driver.settings.canary_seconds = 6  # for enough requests, slow as they may be
    driver.does = does
    with Load(driver), Load(driver), pytest.raises(errors.UserError, match=reason):
        deploy.deploy(driver, "abcd")
    with Load(driver) as load:
        time.sleep(0.3)
    assert load.failed == []
    assert set(load.scores) == {1.0}
    assert last(driver)["outcome"] == "failed"
    assert re.search(reason, last(driver)["reason"])


def test_a_release_that_does_as_well_shares_and_then_takes_over(driver):
    deploy.deploy(driver, "abcd")
    driver.settings.canary_seconds = 1
    with Load(driver) as load:
        done = deploy.deploy(driver, "abcd")
    assert load.failed == []
    shared, of = map(int, re.fullmatch(r"canary: (\d+) of (\d+) requests", done["canary"]).groups())
    assert 0 < shared < of
    assert ask(driver) == 2.0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_deployment_killed_while_it_shares_leaves_the_old_release(driver, monkeypatch):
    deploy.deploy(driver, "abcd")
    driver.settings.canary_seconds = 1
    monkeypatch.setattr(local, "START_SECONDS", 1.0)
    if (child := os.fork()) == 0:
        monkeypatch.setattr(canary, "watch", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        deploy.deploy(driver, "abcd")
        os._exit(0)
    os.waitpid(child, 0)
    with Load(driver) as load:
        time.sleep(3)
    assert load.failed == []
    assert load.scores[-10:] == [1.0] * 10
    assert deploy.deploy(driver, "abcd")["outcome"] == "ok"


def test_a_deployment_is_over_when_the_old_release_answers_no_more(driver):
    driver.does = {"slow": 3.0}
    deploy.deploy(driver, "abcd")
    driver.does = {}
    asked = threading.Thread(target=ask, args=(driver,))
    asked.start()
    pid = driver.state().pid
    time.sleep(0.3)
    deploy.deploy(driver, "abcd")
    until(lambda: gone(pid), 0.5)  # its sockets are closed an instant before it is gone
    asked.join()


@pytest.mark.parametrize("body", [b"not metrics {", None])
def test_a_release_without_metrics_is_no_canary(body):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        if body is None:
            server.close()
        else:
            threading.Thread(target=_once, args=(server, body), daemon=True).start()
        with pytest.raises(errors.UserError, match="canary: GET /metrics failed"):
            canary.counter(address)()


def _once(server, body):
    client, _ = server.accept()
    with client:
        client.recv(1000)
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)


def test_a_first_release_that_is_not_right_leaves_nothing_behind(driver):
    driver.does = {"error": "golden prediction 0 is 0.5"}
    with pytest.raises(errors.UserError, match="golden"):
        deploy.deploy(driver, "abcd")
    assert driver.status()["state"] == "stopped"
    with pytest.raises(ConnectionRefusedError):
        ask(driver)


def test_two_at_once(driver, monkeypatch):
    building, go_on = threading.Event(), threading.Event()
    build = Driver.build

    def slowly(self, number, reference):
        building.set()
        go_on.wait(10)
        return build(self, number, reference)

    monkeypatch.setattr(Driver, "build", slowly)
    first = threading.Thread(target=deploy.deploy, args=(driver, "abcd"))
    first.start()
    building.wait(10)
    for second in (deploy.deploy, deploy.rollback, deploy.stop):
        with pytest.raises(errors.UserError, match="another deployment is under way"):
            second(driver)
    go_on.set()
    first.join()
    assert [entry["outcome"] for entry in history(driver)] == ["ok"]
    assert ask(driver) == 1.0


def test_a_port_in_use(driver):
    address = ("127.0.0.1", driver.settings.port)
    with socket.create_server(address), pytest.raises(errors.UserError, match="cannot be used"):
        deploy.deploy(driver, "abcd")
    deploy.deploy(driver, "abcd")
    driver.settings.port += 1
    with pytest.raises(errors.UserError, match="`stop` it before"):
        deploy.deploy(driver, "abcd")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("step", ["check", "_half_built", "start", "switch", "status"])
def test_a_deployment_killed_at_any_step_costs_nothing(driver, step, monkeypatch):
    """Before it does anything, half-built, built, tried out, and after all is done."""
    deploy.deploy(driver, "abcd")

    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    with Load(driver) as load:
        if (child := os.fork()) == 0:
            monkeypatch.setattr(Driver, step, killed)
            deploy.deploy(driver, "abcd")
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        done = deploy.deploy(driver, "abcd")
    assert load.failed == []
    assert ask(driver) == done["release"]
    assert [e["outcome"] for e in history(driver)] == ["ok", "interrupted", "ok"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_deployments_killed_at_random_moments_cost_nothing(driver):
    """34 of them, spread over the time that one takes here: the next one finds all in order."""
    begun = time.monotonic()
    deploy.deploy(driver, "abcd")
    seconds, moments = time.monotonic() - begun, random.Random(0)
    ends = []
    with Load(driver) as load:
        for _ in range(34):
            if (child := os.fork()) == 0:
                deploy.deploy(driver, "abcd")
                os._exit(0)
            time.sleep(moments.random() * seconds)
            os.kill(child, signal.SIGKILL)
            ends.append(os.waitpid(child, 0)[1])
            done = deploy.deploy(driver, "abcd")
            assert ask(driver) == done["release"]
    assert load.failed == []
    outcomes = [entry["outcome"] for entry in history(driver)]
    assert {*ends} <= {0, signal.SIGKILL}
    assert ends.count(signal.SIGKILL) > len(ends) / 2, "it was quicker than the kills"
    assert {*outcomes} == {"ok", "interrupted"}
    # One that was killed before it had begun leaves no line, and one after its end is done.
    assert outcomes.count("interrupted") <= ends.count(signal.SIGKILL)


def test_a_service_that_died_is_stopped_and_can_be_replaced(driver):
    deploy.deploy(driver, "abcd")
    os.kill(driver.state().pid, signal.SIGKILL)
    until(lambda: driver.status()["state"] == "stopped")
    assert not answers(driver)
    assert "nothing answers" in deploy.summary(driver.settings)
    assert deploy.rollback(driver)["release"] == 1, "what answered last answers again"
    assert ask(driver) == 1.0
    deploy.stop(driver)
    assert not answers(driver)
    deploy.deploy(driver, "abcd")
    assert driver.status()["previous"] == 1


def test_a_service_whose_folder_is_gone_ends(driver):
    deploy.deploy(driver, "abcd")
    pid = driver.state().pid
    remove(driver.settings.var_dir)
    until(lambda: not answers(driver))
    assert deploy.deploy(driver, "abcd")["release"] == 1
    assert driver.state().pid != pid


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("word", ["share", "keep"])
def test_a_new_release_that_is_killed_in_the_hand_over_leaves_the_old_one(
    driver, word, monkeypatch
):
    """It dies when it is asked to; requests that it had accepted by then may be lost."""
    deploy.deploy(driver, "abcd")
    pid = driver.state().pid
    ask_process = local.Trial._ask

    def killed(self, asked, seconds):
        if asked == word:
            self.process.kill()
            self.process.wait()
        ask_process(self, asked, seconds)

    monkeypatch.setattr(local.Trial, "_ask", killed)
    with pytest.raises(errors.UserError, match="ended with exit code -9"):
        deploy.deploy(driver, "abcd")
    monkeypatch.undo()
    with Load(driver) as load:
        time.sleep(0.2)
    assert (load.failed, set(load.scores), driver.state().pid) == ([], {1.0}, pid)


def test_a_release_that_does_not_end_is_killed(driver, monkeypatch):
    monkeypatch.setattr(handover, "DRAIN_SECONDS", 0.5)
    deploy.deploy(driver, "abcd")
    pid = driver.state().pid
    os.kill(pid, signal.SIGSTOP)
    deploy.stop(driver)
    until(lambda: gone(pid))


def test_a_long_path_is_no_obstacle(driver):
    """A Unix socket's own address has no more than about a hundred characters."""
    driver.settings.var_dir /= "long" * 40
    moved = Driver(driver.settings)
    try:
        deploy.deploy(moved, "abcd")
        deploy.deploy(moved, "abcd")
        assert ask(moved) == 2.0
    finally:
        moved.stop()


@pytest.mark.parametrize("required", [False, True])
def test_too_few_requests_are_no_success_of_the_canary(driver, required):
    deploy.deploy(driver, "abcd")
    driver.settings.canary_seconds = 0.2
    driver.settings.canary_required = required
    reason = "canary: not enough requests: 0 of 20"
    if required:
        with pytest.raises(errors.UserError, match=reason):
            deploy.deploy(driver, "abcd")
    else:
        assert deploy.deploy(driver, "abcd")["canary"].startswith(reason)
    assert ask(driver) == (1.0 if required else 2.0)
    assert reason in deploy.act(driver, "history", None, "")[-1]


def test_rollback_says_what_it_cannot_do(driver):
    with pytest.raises(errors.UserError, match="no earlier release"):
        deploy.rollback(driver)
    deploy.deploy(driver, "abcd")
    with pytest.raises(errors.UserError, match="no release 9; kept are 1"):
        deploy.rollback(driver, 9)
    with pytest.raises(errors.UserError, match="release 1 is the one that answers"):
        deploy.rollback(driver, 1)
    deploy.deploy(driver, "abcd")
    (driver.releases.path(1) / "bundle" / "does.json").write_text(
        '{"digest": "", "error": "golden prediction 0 is 9.0"}', encoding="utf-8"
    )
    with pytest.raises(errors.UserError, match="golden"):
        deploy.rollback(driver, 1)
    assert ask(driver) == 2.0


def test_damaged_state_is_said_in_one_line_and_mended_by_deleting_it(driver):
    deploy.deploy(driver, "abcd")
    state = driver.folder / "state.json"
    state.write_text("{", encoding="utf-8")
    with pytest.raises(errors.UserError, match="is damaged; delete it and deploy again"):
        deploy.deploy(driver, "abcd")
    assert ask(driver) == 1.0
    state.unlink()
    until(lambda: driver.status()["state"] == "answering")
    (driver.folder / "attempt.json").write_text("{", encoding="utf-8")
    with (driver.folder / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write('{"action": "depl')
    assert deploy.deploy(driver, "abcd")["release"] == 2
    assert ask(driver) == 2.0
    assert (last(driver)["release"], last(driver)["outcome"]) == (2, "ok")


def test_a_folder_that_cannot_be_written_is_said_in_one_line(driver):
    driver.settings.var_dir.write_text("a file", encoding="utf-8")
    with pytest.raises(errors.UserError, match="var: File exists"):
        deploy.deploy(driver, "abcd")
    driver.settings.var_dir.unlink()


def test_a_full_disk_is_said_in_one_line(driver, monkeypatch):
    deploy.deploy(driver, "abcd")

    def full(path, _value):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(errors.UserError, match="No space left on device"):
        deploy.deploy(driver, "abcd")
    monkeypatch.undo()
    assert ask(driver) == 1.0
    assert deploy.deploy(driver, "abcd")["outcome"] == "ok"


def test_only_so_many_releases_are_kept(driver, monkeypatch):
    monkeypatch.setattr(deploy, "KEEP", 2)
    for _ in range(4):
        deploy.deploy(driver, "abcd")
    assert driver.releases.kept() == [3, 4]


def test_a_release_that_was_never_tried_keeps_no_tried_one_from_staying(driver, monkeypatch):
    """A deployment that was killed once its release was complete leaves one."""
    monkeypatch.setattr(deploy, "KEEP", 3)
    for _ in range(2):
        deploy.deploy(driver, "abcd")
    for number in (3, 4):
        driver.build(number, "abcd")
    assert deploy.deploy(driver, "abcd")["release"] == 5
    assert driver.releases.kept() == [1, 2, 5]


@pytest.mark.xdist_group("deploy")
def test_without_a_champion_nothing_is_deployed(workplace, tmp_path):
    config = settings.settings(
        root=workplace.root,
        var_dir=tmp_path,
        tracking_uri=workplace.config.tracking_uri,
        model_name="nobody",
        port=free_port(),
    )
    with pytest.raises(errors.UserError, match=r"nobody has no champion; run `\S+ promote`"):
        deploy.deploy(local.Local(config))


@pytest.mark.slow
@pytest.mark.xdist_group("deploy")
@pytest.mark.usefixtures("workplace")
def test_the_real_model_is_deployed_and_redeployed_under_load(monkeypatch, capsys):
    monkeypatch.setenv("ML_PORT", str(free_port()))
    monkeypatch.setenv("ML_CANARY_SECONDS", "2")
    config = settings.settings()
    driver = local.Local(config)
    champion = registry.resolve(config, "champion")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            commands.main(["deploy", "local", *arguments])
        assert not ended.value.code
        return capsys.readouterr().out

    try:
        assert f"release 1, version {champion.number}" in run()
        assert (
            driver.releases.get(1).environment.items()
            >= settings.thread_variables(config.params.threads).items()
        )
        kept = files.load_json(driver.releases.path(1) / "bundle" / "golden.json", golden.Golden)
        body = json.dumps({"rows": kept.inputs})
        failed, answered, going = [], [], True

        def load(keep):
            while going:
                time.sleep(0.02)
                connection = http.client.HTTPConnection(config.host, config.port, timeout=30)
                try:
                    for _ in range(20 if keep else 1):
                        connection.request("POST", "/predict", body)
                        response = connection.getresponse()
                        answered.append(json.loads(response.read()))
                        time.sleep(0.02)
                        if response.will_close:
                            break
                except (OSError, http.client.HTTPException, ValueError) as error:
                    failed.append(error)
                finally:
                    connection.close()

        clients = [threading.Thread(target=load, args=(keep,)) for keep in (True, False)]
        for client in clients:
            client.start()
        try:
            run()
        finally:
            going = False
            for client in clients:
                client.join()
        assert failed == []
        assert len(answered) > 10
        for answer in answered:
            scores = [prediction["score"] for prediction in answer["predictions"]]
            np.testing.assert_allclose(scores, kept.scores, rtol=1e-9)
            assert (answer["model_digest"], answer["run_id"]) == (champion.digest, champion.run_id)
        assert "release      2" in run("status")
        assert run("history").count("  ok  ") == 2
    finally:
        run("stop")
    assert driver.status()["state"] == "stopped"
