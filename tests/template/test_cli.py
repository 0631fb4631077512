"""The companion's command line: errors in one line, progress on stderr, results on stdout."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.cli.main import main
from tests.conftest import ROOT, git
from tests.versions import append

REFERENCE = (ROOT / "docs/reference/commands.md").read_text("utf-8")
COMMANDS = {*re.findall(r"^## `groundwork (\w+)", REFERENCE, re.MULTILINE)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing command"),
        (["colour"], "No such command 'colour'"),
        (["fleet", "--colour"], "No such option: --colour"),
        (["fleet", "--jobs", "many"], "Invalid value for '--jobs'"),
        (
            ["catalog", "x", "--url", "https://x", "--version", "v1", "--host", "cvs"],
            "'cvs' is not",
        ),
        (["catalog", "x"], "Missing option '--url'"),
        (["lock", "--check", "--upgrade"], "choose --check or --upgrade, not both"),
    ],
)
def test_what_was_typed_wrongly_is_one_line_and_exit_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert line.endswith("see groundwork --help")


def test_help_lists_the_commands_of_the_reference_and_each_has_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert {line.split()[0] for line in listed if line} == COMMANDS
    assert "fleet" in COMMANDS
    for command in COMMANDS:
        assert main([command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: groundwork {command} ")


def test_an_error_of_the_system_is_one_line(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    command = ["--template", str(template), "catalog", str(tmp_path / "file/x")]
    assert main([*command, "--url", "https://git.example.com/x", "--version", "v999.0.0"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def on_a_terminal(command: list[object], folder: Path) -> tuple[str, str]:
    """Run a command with a terminal for stderr alone; return what went to stdout and to that."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "groundwork", *map(str, command)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=os.environ | {"TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # as Linux says that the other end is closed
                break
            if not read:
                break
            shown += read
        assert process.stdout
        out = process.stdout.read()
    os.close(ours)
    return out, shown.decode()


@pytest.mark.parametrize("command", ["adopt", "fleet", "lock"])
def test_progress_moves_on_a_terminal_and_leaves_stdout_alone(
    command: str, moved: Path, tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    append(tmp_path / "model.py", "x = 1")
    git(tmp_path, "add", "model.py")
    git(tmp_path, "commit", "--quiet", "--message", "Start")
    arguments: list[object]
    arguments, words, result = {
        "adopt": (["adopt", ".", "--yes", "--url", moved], "render the standard", "# Brought onto"),
        "fleet": (["fleet", "nowhere"], "nowhere: failed", "there is no such folder"),
        "lock": (["--template", ROOT, "lock", "--check", "groundwork"], "check locks", "as it sho"),
    }[command]
    out, shown = on_a_terminal(arguments, tmp_path)
    assert result in out
    assert "\x1b" not in out
    assert words in shown
    assert "\x1b[2K" in shown  # the line goes when the work is done
    assert result not in shown


def test_where_stderr_is_no_terminal_progress_is_plain_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "groundwork", "fleet", "nowhere", "neither"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color"},
    )
    assert sorted(line.partition("] ")[2] for line in done.stderr.splitlines()) == [
        "neither: failed",
        "nowhere: failed",
    ]
    assert "\x1b" not in done.stdout + done.stderr
