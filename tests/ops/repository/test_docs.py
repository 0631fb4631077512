"""What is written about the project is still true of it."""

import re
import shutil
from pathlib import Path

import pytest

from ..conftest import ROOT
from ..project import environment, optional, requests, settings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the page and of what it is made from."""
    for name in ("pyproject.toml", "poetry.lock", ".python-version", "docs/environment.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def test_environment_page_is_current():
    assert environment.problems(ROOT) == []


@pytest.mark.parametrize(
    "name",
    [".python-version", "requirements/main.txt", "requirements/ray.txt", "pyproject.toml",
     "poetry.lock"],
)  # fmt: skip
def test_stale_environment_page_is_found_and_mended(copy, name):
    assert environment.problems(copy) == []
    path = copy / name
    text = path.read_text(encoding="utf-8")
    changed = {
        ".python-version": "3.14\n",
        "requirements/main.txt": re.sub(r"(?m)^numpy==\S+", "numpy==0.0.1", text),
        "requirements/ray.txt": re.sub(r"(?m)^ray==\S+", "ray==0.0.1", text),
        "pyproject.toml": text.replace('"numpy>=2,', '"numpy>=1,'),
        "poetry.lock": f"{text}\n",
    }[name]
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    assert len(environment.problems(copy)) == 1
    environment.write(copy)
    assert environment.problems(copy) == []


def test_what_is_installed_does_not_make_the_page_stale(copy):
    path = copy / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^groups = .*$", 'groups = ["dvc"]', text), encoding="utf-8")
    assert environment.problems(copy) == []


def test_new_setting_makes_the_page_stale(copy, monkeypatch):
    class More(settings.Settings):
        """Settings with one more."""

        more: int = 1

    monkeypatch.setattr(environment, "Settings", More)
    assert len(environment.problems(copy)) == 1


def test_every_setting_is_in_the_example():
    fields = settings.Settings.model_fields
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    shown = re.findall(r"^# ([A-Z][A-Z0-9_]*)=", example, re.MULTILINE)
    ours = {environment.variable(*item) for item in fields.items()}
    if not optional.has("delivery.aws"):
        ours.discard("ML_CLUSTER")
    platforms = ROOT.glob("compose.yaml")  # only where it is a deploy target
    texts = "".join(path.read_text(encoding="utf-8") for path in platforms)
    compose = set(re.findall(r"\$\{([A-Z_]+)", texts))
    given = {name for name in compose if name.startswith(("BLUE_", "GREEN_", "DEPLOY_"))}
    assert sorted(shown) == sorted(ours | (compose - given))  # deploy.sh sets the given ones
    assert all(field.description for field in fields.values())


def test_the_example_shows_the_defaults(monkeypatch):
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.+)$", example, re.MULTILINE))
    shown.pop("ML_ROOT")
    for name in shown:
        monkeypatch.delenv(name, raising=False)
    default = settings.Settings(root=ROOT)
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    assert settings.Settings(root=ROOT) == default


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [target.split("#")[0] for target in targets if "://" not in target]
    broken = [one for one in local if one and not (page.parent / one).exists()]
    assert not broken


def test_the_request_that_the_readme_shows_is_one_the_service_takes():
    (body,) = re.findall(r"curl -d '(.+?)'", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
    rows, refusals = requests.check([requests.parse(body.encode())])
    assert (len(rows), refusals) == (1, [None])
    with pytest.raises(requests.RefusedError):
        requests.parse(body.replace("}]", ', "more": 1}]').encode())
