"""`status`: each line stands alone, and nothing heavy is imported for it."""

import subprocess
import sys

import pytest

from ..project import package, status

pytestmark = pytest.mark.xdist_group("workplace")


def lines(config):
    return {line[:11].strip(): line[11:] for line in status.lines(config)}


def test_it_says_where_a_trained_project_stands(workplace):
    shown = lines(workplace.config)
    digest = workplace.trained.manifest.model_digest[:12]
    assert digest in shown["champion"]
    assert "as recorded" in shown["data"]
    assert not [name for name, text in shown.items() if text.startswith("- (")]


def test_without_mlflow_all_else_is_shown(workplace):
    away = workplace.config.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    shown = lines(away)
    for name in ("last run", "champion", "challenger", "versions"):
        assert "cannot be reached" in shown[name]
    assert "as recorded" in shown["data"]
    assert shown["commit"].endswith("clean")


def test_damaged_data_is_one_line_and_no_end(workplace, changed):
    changed("data/manifest.json", "rows", "raws")
    shown = lines(workplace.config)
    assert shown["data"].startswith("- (")
    assert "version" in shown["champion"]


def test_it_imports_neither_the_model_s_library_nor_what_checks_tables(workplace):
    script = (
        f"import sys; from {package.__name__}.ops.cli.commands import main\n"
        "try: main(['status'])\n"
        "except SystemExit: pass\n"
        "heavy = {'sklearn', 'pandera', 'torch', 'xgboost'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"
