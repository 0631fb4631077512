"""No password leaves by a message, a log or a file, whatever fails."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..conftest import free_port
from ..project import commands, data, dataset, errors, package, settings

pytestmark = pytest.mark.xdist_group("workplace")

PASSWORD = "hunter2-hunter2"  # pragma: allowlist secret
# Every command that asks MLflow.
COMMANDS = [
    ["status"],
    ["train"],
    ["evaluate"],
    ["predict", "in.csv", "out.csv"],
    ["explain", "in.csv"],
    ["promote"],
    ["rollback"],
    ["retire"],
    ["reproduce"],
    ["compare", "latest", "champion"],
    ["export", "champion", "release"],
    ["monitor"],
    ["drift", "in.csv"],
    ["serve"],
    ["ui"],
    ["deploy", "local"],
    ["report"],
]


class Failing(BaseHTTPRequestHandler):
    """Says that it is there, and then repeats the address and fails, or hangs up."""

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        if self.server.status is None:
            self.connection.close()
            return
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(f"no: {self.server.asked}".encode())

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module", params=["closed", "database", 500, 403, 200, None])
def uri(request):
    """A store's address with a password: nothing is there, or something that fails."""
    if request.param in {"closed", "database"}:
        kind = "http" if request.param == "closed" else "nothing+postgresql"
        yield f"{kind}://user:{PASSWORD}@127.0.0.1:9/x?password={PASSWORD}"
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        server.status = request.param
        server.asked = f"http://user:{PASSWORD}@127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.asked
        server.shutdown()


def test_no_command_says_or_writes_a_store_s_password(
    workplace, inputs, uri, tmp_path, monkeypatch, capfd, caplog
):
    inputs.head(3).to_csv(tmp_path / "in.csv", index=False)
    monkeypatch.setenv("ML_VAR_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("ML_PORT", str(free_port()))
    monkeypatch.chdir(tmp_path)
    said = ""
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            commands.main(list(command))
        said += f"{ended.value.code}\n" * (ended.value.code is not None)
        assert (ended.value.code == 0) == (command in (["status"], ["report"])), command
    said += "".join(capfd.readouterr()) + caplog.text
    assert "error: MLflow" in said
    assert PASSWORD not in said
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "history.jsonl" for path in written)
    assert [str(path) for path in written if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no http://user:p@ss/w@host:1/a?b=1", "no http://host:1/a?b=1"),
        ("postgresql://user:p%40@host/db", "postgresql://host/db"),  # pragma: allowlist secret
        ("http://token@host/a", "http://host/a"),
        ("s3://key:secret@bucket and a@b", "s3://bucket and a@b"),  # pragma: allowlist secret
        ("host=h password=secret dbname=d", "host=h password=*** dbname=d"),
        ("http://h/a?access_token=secret&b=1", "http://h/a?access_token=***&b=1"),
        ("aws_secret_access_key=secret", "aws_secret_access_key=***"),
        ("of this environment: fr0m-env", "of this environment: ***"),
        ("of the shell: /the/folder", "of the shell: /the/folder"),
        ("sqlite:////home/a@b/var/mlflow.db", "sqlite:////home/a@b/var/mlflow.db"),
        ("two\n lines", "two lines"),
    ],
)
def test_what_others_say_is_passed_on_in_one_line_without_passwords(monkeypatch, said, shown):
    monkeypatch.setenv("SOME_API_KEY", "fr0m-env")
    monkeypatch.setenv("PWD", "/the/folder")
    assert errors.clean(said) == shown
    assert str(errors.UserError(said)) == shown


def test_a_fault_is_shown_without_passwords(workplace):
    code = (
        f"from {package.__name__}.ops.cli import commands, status\n"
        f"status.lines = lambda _: {{}}['x://u:{PASSWORD}@h']\n"
        "commands.main(['status'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 1
    assert "KeyError: 'x://h'" in done.stderr
    assert PASSWORD not in done.stderr


def test_a_source_s_password_is_not_recorded(workplace, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SOURCE", f"postgresql://user:{PASSWORD}@host/db, table t")
    made = dataset.prepare(settings.settings(root=workplace.root, data_dir=tmp_path / "data"))
    assert made.source == "postgresql://host/db, table t"
    assert PASSWORD not in (tmp_path / "data" / "manifest.json").read_text("utf-8")
