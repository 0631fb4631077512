"""What git says of a project: no commit is one answer, no answer is another."""

import subprocess

import pytest

from ..conftest import commit
from ..project import errors, git, workspace


def test_a_folder_without_git_has_no_commit(tmp_path):
    assert git.git_state(tmp_path) == (None, [])


def test_a_repository_without_a_commit_has_none(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert git.git_state(tmp_path) == (None, [])


def test_an_image_names_its_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_COMMIT", "c" * 40)
    assert git.git_state(tmp_path) == ("c" * 40, [])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git.git_state(tmp_path) == ("c" * 40, [])


def test_another_user_s_checkout_is_no_checkout_without_a_commit(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a", encoding="utf-8")
    commit(tmp_path, "start")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(errors.UserError, match=r"dubious ownership.*; .*safe\.directory"):
        git.git_state(tmp_path)


def test_without_git_and_without_a_name_for_the_commit_it_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.UserError, match="git is not installed"):
        git.git_state(tmp_path)


def test_a_damaged_repository_is_an_error(tmp_path):
    (tmp_path / "a").write_text("a", encoding="utf-8")
    commit(tmp_path, "start")
    (tmp_path / ".git" / "config").write_text("[nonsense", encoding="utf-8")
    with pytest.raises(errors.UserError):
        git.git_state(tmp_path)


def test_a_hook_s_own_repository_is_not_asked(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a", encoding="utf-8")
    head = commit(tmp_path, "start")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    assert git.git_state(tmp_path) == (head, [])


def test_a_git_that_is_killed_is_an_error(tmp_path, monkeypatch):
    tool = tmp_path / "git"
    tool.write_text("#!/bin/sh\nkill -9 $$\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(errors.UserError, match="status -9"):
        git.git_state(tmp_path)


@pytest.mark.parametrize("content", ["", "garbage\n"])
def test_a_damaged_branch_is_not_the_same_as_no_commit(tmp_path, content):
    """A machine that lost its power leaves such a file."""
    (tmp_path / "a").write_text("a", encoding="utf-8")
    commit(tmp_path, "start")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text(content, encoding="utf-8")
    with pytest.raises(errors.UserError, match="No such ref: HEAD"):
        git.git_state(tmp_path)


def test_a_worktree_whose_repository_is_gone_is_an_error(tmp_path):
    (tmp_path / ".git").write_text("gitdir: /nowhere/else\n", encoding="utf-8")
    with pytest.raises(errors.UserError, match="not a git repository: /nowhere/else"):
        git.git_state(tmp_path)


def test_a_repository_that_cannot_be_read_does_not_lack_a_commit(tmp_path):
    (tmp_path / "a").write_text("a", encoding="utf-8")
    head = commit(tmp_path, "start")
    (tmp_path / ".git" / "config").write_text("[nonsense", encoding="utf-8")
    with pytest.raises(errors.UserError, match="bad config"):
        workspace.checkout(tmp_path, head, tmp_path / "code")
