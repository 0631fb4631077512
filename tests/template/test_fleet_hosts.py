"""What hosts add to a fleet's table, from local stand-ins of GitHub's and GitLab's APIs."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from groundwork.cli.main import main
from groundwork.errors import UserError
from groundwork.fleet import rest
from groundwork.fleet.hosted import ask
from groundwork.fleet.hosts import configured, without_secrets
from groundwork.fleet.owners import owners
from groundwork.fleet.place import opened
from groundwork.fleet.report import Row, as_json, page, table
from tests.conftest import commit_all, git

TOKEN = "not-a-real-token-but-as-secret"  # noqa: S105 # pragma: allowlist secret
UPDATES = ["standard-v1.2.0", "draft-standard-v1.2.0", "standard-v1.1.0"]


@dataclass
class Fake:
    """A host that has an answer for each path, and knows what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((path, headers))
        found = self.answers.get(path, (404, {}, {"message": "Not Found"}))
        status, more, content = found if isinstance(found, tuple) else (200, {}, found)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return status, more, body


@contextmanager
def serving(fake: Fake) -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = fake.answer(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        yield fake
        server.shutdown()
        thread.join()


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(Fake()) as one:
        yield one


@pytest.fixture(autouse=True)
def no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "GITHUB_SERVER_URL", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GITLAB_TOKEN", "GITLAB_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


Look = Callable[[str], Row]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Return the row of a checkout whose remote has an address."""
    folder = tmp_path / "checkout"
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(folder))
    (folder / "README.md").write_text("a", "utf-8")
    commit_all(folder, "Start")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    git(folder, "remote", "add", "origin", "nowhere")

    def run(address: str) -> Row:
        git(folder, "remote", "set-url", "origin", address)
        row = Row("checkout")
        ask(row, opened(str(folder), tmp_path), UPDATES)
        for text in (table([row]), as_json([row]), page([row])):
            assert TOKEN not in text
        return row

    return run


@pytest.fixture
def github(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_SERVER_URL", fake.url)
    return fake


@pytest.fixture
def gitlab(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    monkeypatch.setenv("GITLAB_HOST", fake.url)
    return fake


HUB = "/api/v3/repos/team/churn"
RUNS = f"{HUB}/actions/runs?branch=main&event=push&per_page=50"
PULLS = f"{HUB}/pulls?state=open&per_page=100"
STATUS = f"{HUB}/commits/main/status"
LAB = "/api/v4/projects/team%2Fml%2Fchurn"
PIPELINES = f"{LAB}/pipelines?ref=main&source=push&per_page=1"
MERGES = f"{LAB}/merge_requests?state=opened&per_page=100"


def run_of(commit: str, status: str, conclusion: str | None = None) -> dict[str, object]:
    page_of = f"https://hub/{commit}/{conclusion or status}"
    return {
        "head_sha": commit,
        "status": status,
        "conclusion": conclusion,
        "html_url": page_of,
    }


def pull(number: int, branch: str, repo: int = 1) -> dict[str, object]:
    head = {"ref": branch, "repo": {"id": repo}}
    return {
        "number": number,
        "html_url": f"https://hub/pull/{number}",
        "head": head,
        "base": {"repo": {"id": 1}},
    }


def test_github_tells_ci_and_the_pull_request_page_after_page(github: Fake, look: Look) -> None:
    github.answers[RUNS] = {
        "workflow_runs": [
            run_of("new", "completed", "success"),
            run_of("new", "completed", "failure"),
            run_of("old", "completed", "success"),
        ]
    }
    second = f"{github.url}{HUB}/pulls?page=2"
    linked = {"Link": f'<{github.url}/0>; rel="prev", <{second}>; rel="next"'}
    github.answers[PULLS] = (200, linked, [pull(1, "own"), pull(2, UPDATES[0], repo=9)])
    github.answers[f"{HUB}/pulls?page=2"] = [pull(3, UPDATES[0]), pull(4, UPDATES[2])]
    row = look(f"{github.url}/team/churn.git")
    assert (row.ci, row.ci_page) == ("failed", "https://hub/new/failure")
    assert row.request == "#3 standard-v1.2.0, #4 standard-v1.1.0"
    assert (row.request_page, row.owner) == ("https://hub/pull/3", "team")
    assert row.page == f"{github.url}/team/churn"
    assert [path for path, _ in github.asked] == [RUNS, PULLS, f"{HUB}/pulls?page=2"]
    assert {headers["Authorization"] for _, headers in github.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([run_of("a", "in_progress"), run_of("a", "completed", "success")], "running"),
        ([run_of("a", "completed", "skipped"), run_of("b", "completed", "failure")], "passed"),
        ([run_of("a", "queued"), run_of("a", "completed", "timed_out")], "failed"),
        ([run_of("a", "completed", "cancelled")], "cancelled"),
    ],
)
def test_github_runs_of_the_newest_push_count(
    github: Fake, look: Look, runs: list[dict[str, object]], words: str
) -> None:
    github.answers |= {RUNS: {"workflow_runs": runs}, PULLS: []}
    row = look(f"{github.url}/team/churn")
    assert (row.ci, row.request) == (words, "none")


@pytest.mark.parametrize(
    ("state", "count", "words"),
    [
        ("success", 1, "passed"),
        ("pending", 2, "running"),
        ("failure", 1, "failed"),
        ("pending", 0, "none"),
    ],
)
def test_without_workflows_the_statuses_of_other_ci_count(
    github: Fake, look: Look, state: str, count: int, words: str
) -> None:
    github.answers |= {RUNS: {"workflow_runs": []}, PULLS: []}
    github.answers[STATUS] = {"state": state, "total_count": count}
    assert look(f"{github.url}/team/churn").ci == words


@pytest.mark.parametrize("address", ["{}/team/ml/churn.git", "git@127.0.0.1:team/ml/churn.git"])
def test_gitlab_tells_the_pipeline_and_the_merge_request(
    gitlab: Fake, look: Look, address: str
) -> None:
    gitlab.answers[PIPELINES] = [{"status": "success", "web_url": "https://lab/1"}]
    second = f"{gitlab.url}{LAB}/merge_requests?page=2"
    first = {"iid": 1, "source_branch": UPDATES[0], "web_url": "https://lab/mr/1"}
    first |= {"source_project_id": 7, "target_project_id": 1}
    mine = {"iid": 2, "source_branch": UPDATES[1], "web_url": "https://lab/mr/2"}
    mine |= {"source_project_id": 1, "target_project_id": 1}
    gitlab.answers[MERGES] = (200, {"Link": f'<{second}>; rel="next"'}, [first])
    gitlab.answers[f"{LAB}/merge_requests?page=2"] = [mine]
    row = look(address.format(gitlab.url))
    assert (row.ci, row.ci_page) == ("passed", "https://lab/1")
    assert (row.request, row.request_page) == ("!2 draft-standard-v1.2.0", "https://lab/mr/2")
    assert row.owner == "team/ml"
    assert {headers["Private-Token"] for _, headers in gitlab.asked} == {TOKEN}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("success", "passed"),
        ("failed", "failed"),
        ("canceled", "cancelled"),
        ("pending", "running"),
    ],
)
def test_gitlabs_words_are_the_tables(gitlab: Fake, look: Look, status: str, words: str) -> None:
    gitlab.answers |= {PIPELINES: [{"status": status, "web_url": ""}], MERGES: []}
    row = look(f"{gitlab.url}/team/ml/churn")
    assert (row.ci, row.request) == (words, "none")
    gitlab.answers[PIPELINES] = []
    assert look(f"{gitlab.url}/team/ml/churn").ci == "none"


REFUSED: dict[str, tuple[object, str]] = {
    "no token": ((401, {}, {}), "not allowed: the host does not take the token"),
    "no right": ((403, {}, {}), "not allowed: the token may not read this"),
    "not there": ((404, {}, {}), "not allowed, or not there"),
    "too often": ((403, {"X-RateLimit-Remaining": "0"}, {}), "not allowed: too many requests"),
    "broken": ((500, {}, b"Traceback"), "cannot reach: the host answers 500"),
    "a page": (b"<html>Sign in</html>", "cannot reach: what answers is no API"),
    "another API": ({"message": "hello"}, "cannot reach: what answers is no API"),
    "none": ([], "cannot reach: what answers is no API"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_is_not_told_is_never_none(github: Fake, look: Look, how: str) -> None:
    answer, words = REFUSED[how]
    github.answers |= {RUNS: answer, PULLS: answer}
    row = look(f"{github.url}/team/churn")
    assert row.ci == words
    assert row.request.startswith(words.partition(":")[0])


def test_one_answer_may_be_refused_and_the_other_not(github: Fake, look: Look) -> None:
    github.answers |= {RUNS: (403, {}, {}), PULLS: [pull(3, UPDATES[0])]}
    row = look(f"{github.url}/team/churn")
    assert row.ci == "not allowed: the token may not read this"
    assert row.request == "#3 standard-v1.2.0"


def test_a_host_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch, look: Look) -> None:
    monkeypatch.setattr(rest, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setenv("GITHUB_SERVER_URL", url)
        row = look(f"{url}/team/churn")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert (row.ci, row.request) == ("cannot reach: no answer in 0.2 s", "cannot reach")
    assert "refused" in look(f"{url}/team/churn").ci.lower()


@pytest.mark.parametrize("how", ["redirection", "next page"])
def test_a_token_goes_to_no_other_host(github: Fake, look: Look, how: str) -> None:
    with serving(Fake()) as other:
        leads = {"Location": f"{other.url}/x", "Link": f'<{other.url}/x>; rel="next"'}
        status = 302 if how == "redirection" else 200
        github.answers |= {RUNS: {"workflow_runs": []}, PULLS: (status, leads, [])}
        github.answers[STATUS] = {"state": "success", "total_count": 1}
        row = look(f"{github.url}/team/churn")
    assert (row.ci, row.request) == ("passed", "cannot reach: the host leads to another one")
    assert not other.asked


def test_a_repository_that_was_renamed_is_followed(github: Fake, look: Look) -> None:
    github.answers |= {RUNS: (301, {"Location": f"{github.url}/9"}, {}), PULLS: []}
    github.answers["/9"] = {"workflow_runs": [run_of("a", "completed", "success")]}
    assert look(f"{github.url}/team/churn").ci == "passed"
    assert {headers.get("Authorization") for _, headers in github.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "address", ["https://elsewhere.example/team/churn", "git@elsewhere.example:a/b", "/a/folder"]
)
def test_a_project_of_another_host_is_not_asked_about(
    github: Fake, look: Look, address: str
) -> None:
    row = look(address)
    assert (row.ci, row.request, row.owner, github.asked) == ("", "", "", [])


def test_a_token_goes_over_no_network_in_the_clear() -> None:
    for host in ("http://lab.example", "https://me@lab.example", "ftp://lab.example"):
        with pytest.raises(UserError, match="GITLAB_HOST must be an https:// address"):
            configured({"GITLAB_TOKEN": TOKEN, "GITLAB_HOST": host})
    with pytest.raises(UserError) as error:
        configured({"GITHUB_TOKEN": f"{TOKEN}\n"})
    assert TOKEN not in str(error.value)
    (lab,) = configured({"GITLAB_TOKEN": TOKEN, "GITLAB_HOST": "lab.example/git"})
    assert lab.host.api == "https://lab.example/git/api/v4"
    assert lab.host.path("https://lab.example/git/a/b/c.git") == "a/b/c"
    assert TOKEN not in repr(lab)
    (hub,) = configured({"GITHUB_TOKEN": TOKEN})
    assert hub.host.api == "https://api.github.com"
    assert hub.host.path("ssh://git@github.com:22/a/b.git") == "a/b"
    assert not configured({})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://me:pass@hub/a/b", "https://hub/a/b"),  # pragma: allowlist secret
        (f"fatal: https://{TOKEN}@hub/a: {TOKEN}", "fatal: https://hub/a: ***"),
        ("ssh://git:pass@hub/a", "ssh://git@hub/a"),  # pragma: allowlist secret
        ("git@hub:a/b", "git@hub:a/b"),
        ("ssh://git@hub/a", "ssh://git@hub/a"),
    ],
)
def test_no_secret_is_left_in_a_text(text: str, left: str) -> None:
    assert without_secrets(text, {"GITHUB_TOKEN": TOKEN}) == left


def test_a_password_in_an_address_is_in_nothing_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # where nothing listens as soon as it is closed
    written = [tmp_path / "fleet.html", tmp_path / "fleet.json", tmp_path / "fleet.csv"]
    options = zip(("--html", "--json", "--csv"), map(str, written), strict=True)
    name = f"http://me:{TOKEN}@127.0.0.1:{port}/churn.git"
    assert main(["fleet", name, *(word for pair in options for word in pair)]) == 1
    told = capsys.readouterr()
    assert f"http://127.0.0.1:{port}/churn.git" in told.out
    for text in (told.out, told.err, *(path.read_text("utf-8") for path in written)):
        assert TOKEN not in text


@pytest.mark.parametrize(
    ("place", "folder", "text", "owner"),
    [
        ("CODEOWNERS", "", "* @ml/churn ada@example.com # all\n/docs/ @docs\n", "@ml/churn"),
        (".github/CODEOWNERS", "one", "* @all\n/one/ @ml/one\n/two @two\n", "@ml/one"),
        (".gitlab/CODEOWNERS", "one/two", "[Section] @s\n* @all\none/* @ml/one\n", "@ml/one"),
        ("docs/CODEOWNERS", "", "/docs/ @docs\n", ""),
    ],
)
def test_the_owner_is_who_the_repository_names(
    tmp_path: Path, place: str, folder: str, text: str, owner: str
) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "file").write_text("a", "utf-8")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(text, "utf-8")
    commit_all(tmp_path, "Start")
    found = owners(opened(str(tmp_path / folder), tmp_path).repository)
    assert found.split()[:1] == owner.split()
