"""A small repository that passes every check, and how to write one out with changes."""

import json
from pathlib import Path

HASH = "0" * 64
COMMIT = "a" * 40
# A text, None to leave the file out, bytes, or a pair: what to replace, and by what.
Change = str | bytes | None | tuple[str, str]

PACKAGES = {"joblib": "1.4.2", "mlflow": "3.1.0", "numpy": "2.1.0", "pandas": "2.2.3"}
PACKAGES |= {"scikit-learn": "1.6.0", "torch": "2.5.0", "pytest": "8.3.0"}


def pixi_lock(*files: str) -> str:
    """Return pixi's lock of these files of conda's, and of one package of the index."""
    listed = "".join(
        f"- conda: https://c.example/noarch/{file}.conda\n  sha256: '{HASH}'\n" for file in files
    )
    return (
        f"version: 6\npackages:\n{listed}"
        f"- pypi: https://i.example/humanize-4.12.3.whl\n  name: humanize\n  version: 4.12.3\n"
        f"  sha256: '{HASH}'\n"
    )


def uv_lock(packages: dict[str, str]) -> str:
    """Return a lock of uv's."""
    entries = [
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        f'sdist = {{ url = "https://x.example/{name}", hash = "sha256:{HASH}" }}\n'
        for name, version in packages.items()
    ]
    return "version = 1\n\n" + "\n".join(entries)


def notebook(*cells: str, counts: tuple[int | None, ...] = (), **more: object) -> str:
    """Return a notebook with these cells, counted from 1 if not given."""
    numbers = counts or tuple(range(1, len(cells) + 1))
    listed = [
        {
            "cell_type": "code",
            "execution_count": number,
            "metadata": {},
            "outputs": [],
            "source": source.splitlines(keepends=True),
        }
        | more
        for number, source in zip(numbers, cells, strict=True)
    ]
    content = {"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1)


GOOD: dict[str, str] = {
    "README.md": "# Demo\n\nRun `uv sync --locked`, `uv run pytest`. To roll back: `kubectl`.\n",
    ".python-version": "3.12\n",
    ".gitignore": ".env\n",
    ".dockerignore": ".git\n",
    ".env.example": "MODEL_URI=\n",
    "pyproject.toml": """\
[project]
name = "demo"
version = "1.0.0"
requires-python = ">=3.12"
dependencies = ["joblib", "mlflow>=3", "numpy>=2", "pandas>=2", "scikit-learn", "torch"]

[dependency-groups]
dev = ["pytest>=8"]
""",
    "uv.lock": uv_lock(PACKAGES),
    "requirements.txt": "".join(
        f"{name}=={version} \\\n    --hash=sha256:{HASH}\n" for name, version in PACKAGES.items()
    ),
    "params.yaml": "seed: 7\n",
    "data/train.csv": "a,b\n1,2\n",
    "src/demo/__init__.py": "",
    "src/demo/data.py": """\
import os
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split


def load(seed):
    frames = [pd.read_csv(path) for path in sorted(Path("data").glob("*.csv"))]
    return train_test_split(pd.concat(frames), random_state=seed)


def uri():
    return os.environ["MODEL_URI"]
""",
    "src/demo/train.py": """\
import argparse

import joblib
import mlflow
from sklearn.ensemble import RandomForestClassifier


def train(rows, labels, seed):
    model = RandomForestClassifier(random_state=seed).fit(rows, labels)
    joblib.dump(model, "model.joblib")
    mlflow.log_artifact("model.joblib")
    return model
""",
    "src/demo/network.py": """\
import torch


def fit(net, batches, seed):
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    for batch in batches:
        net(batch.to("cuda")).mean().backward()
""",
    "tests/test_demo.py": """\
from demo import data, train


def test_data_has_its_columns(tmp_path):
    assert data.load(1)


def test_model_predicts():
    assert train.train([[1]], [1], 1).predict([[1]])


def test_pipeline_runs():
    assert train.train(*data.load(1), 1)
""",
    "Dockerfile": f"""\
FROM python:3.12.8-slim@sha256:{HASH}
COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt
COPY . .
USER 10001
CMD ["python", "-m", "demo"]
""",
    "compose.yaml": "services:\n  db:\n    image: postgres:16.4\n",
    "k8s/service.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: demo}
spec:
  template:
    spec:
      containers:
        - name: demo
          image: registry.example/demo:1.2.0
          ports: [{containerPort: 8000}]
          resources: {limits: {memory: 1Gi}}
          readinessProbe: {httpGet: {path: /readyz, port: 8000}}
""",
    ".github/dependabot.yml": "version: 2\n",
    ".github/workflows/ci.yml": f"""\
name: ci
on: [push]
permissions: {{contents: read}}
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: "3.12"}}
      - uses: astral-sh/setup-uv@{COMMIT}
      - run: |
          uv sync --locked
          uv run pytest
""",
    "notebooks/explore.ipynb": notebook("import pandas as pd", "pd.read_csv('data/train.csv')"),
}


def write(folder: Path, files: dict[str, str], changes: dict[str, Change] | None = None) -> Path:
    """Write files into a folder, each with its change."""
    content: dict[str, str | bytes] = dict(files)
    for path, change in (changes or {}).items():
        if change is None:
            content = {
                name: text
                for name, text in content.items()
                if name != path and not name.startswith(f"{path}/")
            }
        elif isinstance(change, tuple):
            old = content[path]
            assert isinstance(old, str)
            assert change[0] in old, f"{path} has no {change[0]!r}"
            content[path] = old.replace(*change)
        else:
            content[path] = change
    for path, text in content.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder
