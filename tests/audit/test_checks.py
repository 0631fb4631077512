"""Each check fails for one change of a repository that passes all, and no other check does."""

from datetime import date
from pathlib import Path

import pytest

from groundwork.audit.catalogue import checks
from groundwork.audit.model import Status
from groundwork.audit.run import Report, audit
from tests.audit.good import GOOD, HASH, Change, notebook, write
from tests.conftest import Render

TODAY = date(2026, 11, 26)
TRAIN = "src/demo/train.py"
CI = ".github/workflows/ci.yml"
SERVICE = "k8s/service.yaml"


def code(text: str) -> dict[str, Change]:
    """Return a change that adds a module."""
    return {"src/demo/more.py": text}


def step(text: str) -> dict[str, Change]:
    """Return a change of what CI runs."""
    return {CI: ("uv sync --locked", text)}


# What fails, by which change, and a part of what is said.
MUTATIONS: list[tuple[str, dict[str, Change], str]] = [
    ("AU101", code("def broken(:\n"), "src/demo/more.py: was not read (Python): line 1"),
    ("AU101", {"src/demo/more.py": b"x = '\xff'\n"}, "was not read"),
    ("AU101", {"src/demo/more.py": b"\0\1\2"}, "it is binary"),
    ("AU101", {"compose.yaml": "services: [\n"}, "compose.yaml: was not read (container)"),
    ("AU101", {"notebooks/explore.ipynb": "{"}, "was not read (notebook)"),
    (
        "AU102",
        {"groundwork-audit.toml": '[[exceptions]]\ncheck = "EX101"\nuntil = 2027-01-01\n'},
        "groundwork-audit.toml:2: the exception of EX101 has no reason",
    ),
    ("RB101", {"pyproject.toml": None, "uv.lock": None, "requirements.txt": None}, "no pyproject"),
    ("RB102", code("import seaborn\n"), "src/demo/more.py:1: imports seaborn"),
    (
        "RB103",
        {"pyproject.toml": ('requires-python = ">=3.12"\n', ""), ".python-version": None},
        "no requires-python",
    ),
    ("RB104", {"README.md": "# Demo\n\nA roll back is easy.\n"}, "README.md: no command"),
    (
        "RB105",
        {"dev/requirements.txt": "thing @ git+https://git.example/thing@main\n"},
        "dev/requirements.txt:1",
    ),
    ("RB106", code('PATH = "/home/alice/data/x.csv"\n'), "src/demo/more.py:1"),
    ("LK101", {"uv.lock": None, "requirements.txt": None}, "pyproject.toml:5: mlflow>=3 leaves"),
    ("LK102", {"uv.lock": (f', hash = "sha256:{HASH}"', "")}, "uv.lock:4: 7 of 7 have no hash"),
    ("LK103", {"pyproject.toml": ("pandas>=2", "pandas>=3")}, "pandas>=3, and uv.lock has 2.2.3"),
    ("LK103", {"pyproject.toml": ('"joblib"', '"joblib", "polars"')}, "polars is not in uv.lock"),
    (
        "LK104",
        {"requirements.txt": ("numpy==2.1.0", "numpy==2.0.0")},
        "numpy 2.0.0, but 2.1.0 in uv.lock",
    ),
    ("TS101", {"tests": None}, "no test function"),
    (
        "TS102",
        {"tests/test_demo.py": "def test_model_predicts_in_a_run():\n    assert 1 < f()\n"},
        "data",
    ),
    (
        "TS103",
        {"tests/test_demo.py": "def test_data_in_a_pipeline():\n    assert f() < 2\n"},
        "model",
    ),
    (
        "TS104",
        {"tests/test_demo.py": "def test_data_of_a_model():\n    assert f() < 2\n"},
        "pipeline",
    ),
    ("TS105", {"tests/test_more.py": "def test_x():\n    assert True\n"}, "tests/test_more.py:1"),
    (
        "TS106",
        {"tests/test_more.py": "import pytest\n\n\n@pytest.mark.skip\ndef test_x():\n    f()\n"},
        "test_x is skipped",
    ),
    ("EX101", {"src/demo/data.py": (", random_state=seed", "")}, "src/demo/data.py:10: train_test"),
    (
        "EX101",
        code("from sklearn.model_selection import KFold\nKFold(5, shuffle=True)\n"),
        "more.py:2: KFold()",
    ),
    ("EX101", code("def f(frame):\n    return frame.sample(frac=1)\n"), "sample()"),
    ("EX102", {TRAIN: ("random_state=seed", "")}, "RandomForestClassifier()"),
    ("EX103", code("import numpy as np\nrng = np.random.default_rng()\n"), "default_rng()"),
    ("EX104", {"src/demo/network.py": ("torch.manual_seed(seed)", "pass")}, "nothing sets a seed"),
    (
        "EX105",
        {"src/demo/network.py": ("torch.use_deterministic_algorithms(True)", "pass")},
        "nothing asks for deterministic kernels",
    ),
    ("EX106", code("def f(x):\n    return list(set(x))\n"), "more.py:2: the order of set(x)"),
    (
        "EX106",
        code("def f(x):\n    return {w: i for i, w in enumerate(set(x))}\n"),
        "the order of set(x)",
    ),
    ("EX107", code("import os\nNAMES = [n for n in os.listdir('.')]\nf(NAMES)\n"), "listdir()"),
    (
        "EX107",
        code(
            "def f(p):\n    out = []\n    for x in p.glob('*'):\n"
            "        out.append(x)\n    return out\n"
        ),
        "glob()",
    ),
    ("EX108", code("import time\nf(seed=int(time.time()))\n"), "time.time() is a seed"),
    (
        "EX108",
        code(
            "from datetime import datetime\nimport pandas as pd\n"
            "def f(t):\n    t['age'] = datetime.now() - t['born']\n"
        ),
        "a column depends on datetime.datetime.now()",
    ),
    (
        "EX109",
        code("from urllib.request import urlretrieve\nurlretrieve('https://x.example', 'x')\n"),
        "urlretrieve() downloads",
    ),
    ("EX110", {"data/train.csv": None}, "reads data"),
    (
        "EX111",
        code("from transformers import AutoModel\nAutoModel.from_pretrained('owner/name')\n")
        | {
            "pyproject.toml": ('"torch"]', '"torch", "transformers"]'),
            "uv.lock": (
                'name = "torch"',
                'name = "transformers"\nversion = "4.0"\n'  # noqa: ISC004
                f'sdist = {{ url = "https://x.example", hash = "sha256:{HASH}" }}\n\n'
                '[[package]]\nname = "torch"',
            ),
        },
        "'owner/name' has no revision",
    ),
    (
        "CF101",
        {"deploy.sh": "export KEY=AKIA" + "Q7RTVNW2ZKLP3MXB\n"},
        "deploy.sh:1: looks like a key of AWS",
    ),
    ("CF102", {".env": "DB_PASSWORD=hunter2\n"}, ".env:1: has a value for DB_PASSWORD"),
    ("CF103", {"params.yaml": None, TRAIN: ("import argparse\n\n", "")}, "no file of parameters"),
    ("CF104", {".env.example": None}, "needs MODEL_URI"),
    ("CF105", code("with open('conf/run.yaml') as f:\n    f.read()\n"), "opens conf/run.yaml"),
    ("RD101", {"compose.yaml": (":16.4", "")}, "compose.yaml:3: postgres leaves"),
    ("RD102", {"README.md": ("To roll back: `kubectl`.", "")}, "k8s/service.yaml:8: is deployed"),
    (
        "RD103",
        {SERVICE: ("readinessProbe", "livenessProbe")},
        "demo of a Deployment has no readinessProbe",
    ),
    (
        "RD104",
        {SERVICE: ("resources: {limits: {memory: 1Gi}}", "tty: false")},
        "no limit of memory",
    ),
    ("RD105", {TRAIN: ("import mlflow\n", "import logging as mlflow\n")}, "joblib.dump() saves"),
    (
        "CN101",
        {"Dockerfile": (f"3.12.8-slim@sha256:{HASH}", "latest")},
        "Dockerfile:1: FROM python",
    ),
    ("CN102", {"Dockerfile": (f"@sha256:{HASH}", "")}, "has no digest"),
    (
        "CN103",
        {"Dockerfile": ("COPY . .", "COPY . .\nRUN apt-get update && \\\n    pip install pandas")},
        "Dockerfile:6: installs pandas without a version",
    ),
    ("CN104", {"Dockerfile": ("USER 10001\n", "")}, "no USER"),
    ("CN105", {".dockerignore": None}, "Dockerfile:4: COPY . and no .dockerignore"),
    ("CN106", {"Dockerfile": ("COPY . .", "COPY . .\nRUN curl https://x.example | sh")}, "pipes"),
    ("CI101", {".github/workflows/ci.yml": None}, "no workflow"),
    ("CI102", {CI: ("uv run pytest", "true")}, "no command that runs tests"),
    ("CI103", {CI: ("actions/checkout@v4", "actions/checkout@main")}, "follows a branch"),
    ("CI103", {CI: ("a" * 40, "v3")}, "astral-sh/setup-uv@v3 follows a tag"),
    ("CI104", step("pip install ruff"), ".github/workflows/ci.yml:13: installs ruff"),
    (
        "CI105",
        {CI: ('        with: {python-version: "3.12"}\n', ""), ".python-version": None},
        "leaves the version open",
    ),
    ("CI106", {CI: ("permissions: {contents: read}\n", "")}, "no permissions are set for test"),
    ("CI107", {".github/dependabot.yml": None}, "no Dependabot"),
    ("NB101", {"notebooks/explore.ipynb": notebook("x = 1", "y = 2", counts=(4, 2))}, "number 2"),
    (
        "NB102",
        {
            "notebooks/explore.ipynb": notebook(
                "x = 1", outputs=[{"output_type": "error", "ename": "KeyError"}]
            )
        },
        "was saved with KeyError",
    ),
    ("NB103", {"notebooks/explore.ipynb": notebook("!pip install pandas")}, "installs pandas"),
]


def failed(report: Report) -> dict[str, list[str]]:
    return {
        one.check.id: [str(finding) for finding in one.findings]
        for one in report.results
        if one.status is Status.FAILED
    }


def test_the_good_repository_passes_every_check_that_applies(tmp_path: Path) -> None:
    report = audit(write(tmp_path / "demo", GOOD), today=TODAY)
    assert failed(report) == {}
    assert report.score == 100
    skipped = {one.check.id for one in report.results if one.status is Status.SKIPPED}
    assert skipped == {"AU102", "EX109", "NB103", "RB105"}


@pytest.mark.parametrize(
    ("check", "changes", "told"),
    MUTATIONS,
    ids=[f"{one[0]}-{number}" for number, one in enumerate(MUTATIONS)],
)
def test_one_change_fails_its_check_and_no_other(
    check: str, changes: dict[str, Change], told: str, tmp_path: Path
) -> None:
    report = audit(write(tmp_path / "demo", GOOD, changes), today=TODAY)
    found = failed(report)
    assert found.keys() == {check}
    assert any(told in one for one in found[check]), found[check]
    (result,) = (one for one in report.results if one.check.id == check)
    assert result.command


def test_every_check_has_a_change_that_fails_it() -> None:
    assert {check for check, _, _ in MUTATIONS} == checks().keys()


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"deploy": ["compose", "kubernetes", "terraform", "ansible"], "ci": "gitlab"},
        {"framework": "pytorch", "data": "dvc", "tracking": "wandb", "scale": "ray"},
    ],
    ids=["default", "all-targets-gitlab", "pytorch-dvc"],
)
def test_a_new_project_has_full_marks(render: Render, answers: dict[str, object]) -> None:
    report = audit(render(**answers), today=TODAY)
    assert failed(report) == {}
    assert report.unread == []
    assert report.score == 100


@pytest.mark.parametrize(
    ("check", "path", "change"),
    [
        (
            "EX101",
            "src/my_ml_project/features.py",
            ("\nimport ", "\nfrom sklearn.model_selection import KFold\nimport "),
        ),
        ("LK103", "pyproject.toml", ('"numpy>=2,<3"', '"numpy>=9"')),
        ("CN103", "Dockerfile", ("COPY src src\n", "COPY src src\nRUN pip install polars\n")),
        ("CI106", ".github/workflows/ci.yml", ("permissions:\n  contents: read\n", "")),
    ],
)
def test_a_change_of_a_new_project_fails_its_check_and_no_other(
    render: Render, check: str, path: str, change: tuple[str, str]
) -> None:
    project = render()
    text = (project / path).read_text("utf-8")
    assert change[0] in text
    text = text.replace(*change, 1)
    if check == "EX101":
        text += "\nFOLDS = KFold(5, shuffle=True)\n"
    (project / path).write_text(text, "utf-8")
    assert failed(audit(project, today=TODAY)).keys() == {check}
