"""Other programs: what they print is returned, and why they fail is one line."""

import pytest

from ..project import errors, process


def run(tmp_path, script, **how):
    return process.run("sh", "-c", script, cwd=tmp_path, **how)


def test_what_a_program_prints_is_returned(tmp_path):
    assert run(tmp_path, "cat; pwd", given="given\n") == f"given\n{tmp_path}\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first >&2; echo last >&2; exit 1", "sh: last"),
        ("echo 'fatal: why' >&2; echo 'what to type' >&2; exit 1", "sh: why"),
        ("echo 'error: early'; echo out; echo 'error: late' >&2; exit 1", "sh: late"),
        ("echo 'on stdout'; exit 1", "sh: on stdout"),
        ("exit 3", "sh: it ended with status 3 and said nothing"),
    ],
)
def test_a_failure_is_said_in_one_line(tmp_path, script, reason):
    with pytest.raises(errors.UserError) as caught:
        run(tmp_path, script)
    assert str(caught.value) == reason


def test_a_failure_begins_with_the_name_that_it_is_given(tmp_path):
    with pytest.raises(errors.UserError, match=r"^the stage: it ended with status 1"):
        run(tmp_path, "exit 1", name="the stage")


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.UserError, match="no-such-program cannot be run: No such file"):
        process.run("no-such-program", cwd=tmp_path)
