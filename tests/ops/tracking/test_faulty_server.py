"""A server that is not MLflow, or not well: its answers are errors, never "there is none"."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow.tracking import MlflowClient

from ..project import errors, registry, runs, settings

PASSWORD = "pass-of-someone"  # pragma: allowlist secret
DENIED = json.dumps({"error_code": "PERMISSION_DENIED", "message": "you may not"}).encode()
PAGE = b"<html>Log in</html>"
# The status, the type, and what comes of the body that is announced.
ANSWERS = {
    "an error": (500, "text/plain", b"oops", 4),
    "no permission": (403, "application/json", DENIED, len(DENIED)),
    "a page that is not there": (404, "text/html", PAGE, len(PAGE)),
    "a page": (200, "text/html", PAGE, len(PAGE)),
    "an empty object": (200, "application/json", b"{}", 2),
    "nothing": (200, "application/json", b"", 0),
    "half an answer": (200, "application/json", b'{"registered_model": {"na', 500),
    "a closed connection": None,
    "no answer in time": "slow",
}


@pytest.fixture(params=ANSWERS)
def faulty(request, tmp_path, monkeypatch):
    """The settings of a project whose MLflow answers everything with one fault, and a client."""
    answer = ANSWERS[request.param]
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if answer == "slow":
                over.wait(30)
            elif answer:
                status, kind, body, length = answer
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    for name, value in {"MAX_RETRIES": "0", "TIMEOUT": "1"}.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://someone:{PASSWORD}@127.0.0.1:{server.server_port}"
        config = settings.settings(var_dir=tmp_path, tracking_uri=address)
        yield config, MlflowClient(address, address)
        over.set()
        server.shutdown()


QUESTIONS = {
    "connect": lambda config, _: runs.connect(config),
    "aliases": registry.aliases,
    "versions": registry.versions,
    "a version by its number": lambda config, client: registry.resolve(config, "1", client),
    "the champion": lambda config, client: registry.resolve(config, "champion", client),
    "promote": lambda config, _: registry.promote(config, "1"),
    "rollback": lambda config, _: registry.rollback(config),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_a_faulty_server_answers_is_an_error_of_one_line(faulty, question):
    began = time.monotonic()
    with pytest.raises(errors.UserError, match="MLflow") as caught:
        QUESTIONS[question](*faulty)
    said = errors.clean(str(caught.value))
    assert "\n" not in said
    assert PASSWORD not in said
    assert "has no" not in said
    assert time.monotonic() - began < 20


@pytest.mark.xdist_group("workplace")
def test_no_version_is_made_where_an_answer_is_empty(workplace, monkeypatch):
    """In the middle of a registration, after the connection was fine."""
    client = runs.connect(workplace.config)
    monkeypatch.setattr(client, "get_registered_model", lambda _: type("Empty", (), {"name": ""}))
    made = []
    monkeypatch.setattr(client, "create_model_version", lambda *given: made.append(given))
    with pytest.raises(errors.UserError, match="MLFLOW_TRACKING_URI"):
        registry.register(workplace.config, client, "r", workplace.trained.manifest, "b")
    assert made == []
