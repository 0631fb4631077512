"""A new feature is one function: data, training and gate need no other change, and little time."""

import json
import subprocess
import sys
import time

import pytest

from ..conftest import commit
from ..project import dataset, features, package, schema, settings

COLUMN = next(iter(schema.Inputs.to_schema().columns))
FUNCTION = f'''

@features.add
def twice(rows: pd.DataFrame) -> pd.Series:
    """Twice the length of the first column's text: a number, whatever that holds."""
    return rows["{COLUMN}"].astype(str).str.len() * 2
'''


def run(root, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = {"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "HOME": str(root)}
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_feature_is_one_function_and_under_a_minute(project_factory, split, tmp_path):
    root = project_factory()
    dataset.prepare(settings.settings(root=root))
    start = time.monotonic()
    path = root / "src" / package.__name__ / "features.py"
    path.write_text(path.read_text("utf-8") + FUNCTION, encoding="utf-8")
    commit(root, "Add a feature")

    worker = f"{package.__name__}.ops.worker"
    done = run(root, worker, "retrain", root / "data", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 60

    made = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    judged = {name.removeprefix("importance.") for name in made["metrics"]
              if name.startswith("importance.")}  # fmt: skip
    assert judged == {*features.features.names, "twice", "noise"}
    assert made["code"]["dirty"] == []
