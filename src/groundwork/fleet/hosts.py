"""What GitHub and GitLab know of a project: its last CI, and an update that waits for review."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

from groundwork.errors import UserError

from .rest import get, pages


@dataclass(frozen=True)
class Found:
    """What a cell says, and the page that shows it."""

    words: str
    page: str = ""


@dataclass(frozen=True)
class Host:
    """Where a host's repositories and its API are, and what each request carries."""

    server: str
    api: str
    headers: dict[str, str] = field(repr=False)  # with the token

    def path(self, address: str) -> str:
        """Return the path of a repository on this host, or nothing where it is on another."""
        at = urlsplit(address) if "://" in address else None
        if at:
            host, path = at.netloc.rpartition("@")[2], at.path
            if at.scheme not in {"http", "https"}:
                host = host.partition(":")[0]
        else:
            host, _, path = address.rpartition("@")[2].partition(":")
        home = urlsplit(self.server)
        if host not in {home.netloc, *([] if at and at.scheme == "https" else [home.hostname])}:
            return ""
        path = path.strip("/").removesuffix(".git")
        below = home.path.strip("/")
        return path.removeprefix(f"{below}/") if below else path


class Api(Protocol):
    """What is asked of a host; each raises NotAllowedError and NotReachedError."""

    @property
    def host(self) -> Host:
        """Return where it is."""

    def ci(self, path: str, branch: str) -> Found:
        """Return what came of the CI of a branch's newest commit."""

    def requests(self, path: str) -> Iterable[tuple[str, Found]]:
        """Yield the branch of each open request to merge one of the repository's own."""


@dataclass(frozen=True)
class GitHub:
    """GitHub's REST API."""

    host: Host

    def ci(self, path: str, branch: str) -> Found:
        """Return what came of the workflows that the newest push ran, or of other CI's statuses."""
        # Scheduled ones are of the same branch, and say nothing of its commit.
        asked = urlencode({"branch": branch, "event": "push", "per_page": 50})
        home = f"{self.host.api}/repos/{quote(path)}"
        runs = get(f"{home}/actions/runs?{asked}", self.host.headers)["workflow_runs"]
        newest = [one for one in runs if one["head_sha"] == runs[0]["head_sha"]]
        order = ("failed", "running", "cancelled", "passed")
        found = [(self._said(one), one["html_url"]) for one in newest]
        if found:
            return Found(*min(found, key=lambda one: order.index(one[0])))
        status = get(f"{home}/commits/{quote(branch, safe='')}/status", self.host.headers)
        words = {"success": "passed", "pending": "running"}
        return Found(words.get(status["state"], "failed") if status["total_count"] else "none")

    @staticmethod
    def _said(run: Mapping[str, str]) -> str:
        if run["status"] != "completed":
            return "running"
        if run["conclusion"] in {"success", "neutral", "skipped"}:
            return "passed"
        return "cancelled" if run["conclusion"] == "cancelled" else "failed"

    def requests(self, path: str) -> Iterable[tuple[str, Found]]:
        """Yield the branch of each open pull request that is from no fork."""
        url = f"{self.host.api}/repos/{quote(path)}/pulls?state=open&per_page=100"
        for one in pages(url, self.host.headers):
            head, base = one["head"], one["base"]
            if head["repo"] and head["repo"]["id"] == base["repo"]["id"]:
                yield head["ref"], Found(f"#{one['number']}", one["html_url"])


@dataclass(frozen=True)
class GitLab:
    """GitLab's REST API."""

    host: Host

    def ci(self, path: str, branch: str) -> Found:
        """Return what came of the pipeline of the newest push."""
        asked = urlencode({"ref": branch, "source": "push", "per_page": 1})
        found = get(f"{self._project(path)}/pipelines?{asked}", self.host.headers)
        if not found:
            return Found("none")
        ended = {"success": "passed", "failed": "failed", "canceled": "cancelled"}
        ended["skipped"] = "passed"
        return Found(ended.get(found[0]["status"], "running"), found[0]["web_url"])

    def requests(self, path: str) -> Iterable[tuple[str, Found]]:
        """Yield the branch of each open merge request that is from no fork."""
        url = f"{self._project(path)}/merge_requests?state=opened&per_page=100"
        for one in pages(url, self.host.headers):
            if one["source_project_id"] == one["target_project_id"]:
                yield one["source_branch"], Found(f"!{one['iid']}", one["web_url"])

    def _project(self, path: str) -> str:
        return f"{self.host.api}/projects/{quote(path, safe='')}"


def configured(environment: Mapping[str, str]) -> list[Api]:
    """Return the hosts for which the environment has a token. Raises UserError on a bad address."""
    found: list[Api] = []
    if token := environment.get("GITHUB_TOKEN"):
        server = _checked("GITHUB_SERVER_URL", environment, "https://github.com")
        usual = "https://api.github.com" if server == "https://github.com" else f"{server}/api/v3"
        api = _checked("GITHUB_API_URL", environment, usual)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        found.append(GitHub(Host(server, api, headers | {"X-GitHub-Api-Version": "2022-11-28"})))
    if token := environment.get("GITLAB_TOKEN"):
        server = _checked("GITLAB_HOST", environment, "https://gitlab.com")
        found.append(GitLab(Host(server, f"{server}/api/v4", {"PRIVATE-TOKEN": token})))
    for api_of in found:
        if any(not value.isprintable() for value in api_of.host.headers.values()):
            raise UserError(f"the token for {api_of.host.server} has characters that none has")
    return found


def _checked(name: str, environment: Mapping[str, str], usual: str) -> str:
    """Return an address; it must not carry a token over a network in the clear."""
    given = environment.get(name) or usual
    address = given.rstrip("/") if "://" in given else f"https://{given.rstrip('/')}"
    at = urlsplit(address)
    here = at.scheme == "http" and at.hostname in {"127.0.0.1", "localhost", "::1"}
    if not at.hostname or "@" in at.netloc or not (at.scheme == "https" or here):
        raise UserError(f"{name} must be an https:// address without a user's name")
    return address


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """Return a text without the tokens and what an address has as a user's name and password."""
    text = re.sub(r"(https?://)[^/\s]*@", r"\1", text)
    text = re.sub(r"(://[^/\s:@]+):[^/\s]*@", r"\1@", text)
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        if token := environment.get(name):
            text = text.replace(token, "***")
    return text
