"""What Copier says to people beside the questions."""

import shlex
import subprocess
import sys
from pathlib import Path

from groundwork import template as checkout
from tests.conftest import ROOT


def test_the_next_steps_name_what_the_render_has(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    command = ["copier", "copy", "--defaults", "--vcs-ref", "HEAD", "--data", "project_name=Churn"]
    done = subprocess.run(
        [sys.executable, "-m", *command, template, folder],
        check=True,
        capture_output=True,
        text=True,
    )
    steps = done.stderr.split("Next:")[1]
    assert f"cd {shlex.quote(str(folder))}\n" in steps
    for script in ("scripts/setup.sh", "scripts/test.sh"):
        assert script in steps
        assert (folder / script).is_file()
    for step in ("prepare", "train", "reproduce"):
        assert f".venv/bin/churn {step} " in steps


def test_every_message_renders_with_the_defaults() -> None:
    settings, questions = checkout.load(ROOT)
    jinja = checkout.environment(ROOT)
    answers: dict[str, object] = {"_copier_conf": {"dst_path": "/x"}}
    for name, question in questions.items():
        answers[name] = jinja.from_string(question["default"]).render(answers)
    for name in ("message_before_copy", "message_after_copy", "message_after_update"):
        text = jinja.from_string(settings[name]).render(answers)
        assert text.strip()
        assert not any(line != line.rstrip() for line in text.splitlines())
