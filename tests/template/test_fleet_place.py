"""Where a fleet's project is looked at: the default branch of its remote, told or one true line."""

import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from groundwork.errors import UserError
from groundwork.fleet.place import Place, opened
from groundwork.fleet.survey import prepared
from groundwork.update.git import GitError
from tests.conftest import commit_all, git
from tests.containers import installed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with a commit on each of two branches, `trunk` checked out."""
    folder = tmp_path / "source"
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk", str(folder))
    for name in ("README.md", "one/file", "two/deep/file"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, "utf-8")
    commit_all(folder, "Start")
    git(folder, "branch", "other")
    return folder


@pytest.fixture
def bare(source: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", "--bare", str(source), "bare.git")
    return tmp_path / "bare.git"


@pytest.fixture
def checkout(bare: Path, tmp_path: Path) -> Path:
    """A clone on a branch of its own, with a commit that its remote does not have."""
    git(tmp_path, "clone", "--quiet", str(bare), "checkout")
    folder = tmp_path / "checkout"
    git(folder, "switch", "--quiet", "--create", "mine")
    (folder / "mine").write_text("mine", "utf-8")
    commit_all(folder, "Mine")
    return folder


def at(name: object, tmp_path: Path) -> Place:
    cache = tmp_path / "cache"
    cache.mkdir(exist_ok=True)
    return opened(str(name), cache)


def told(name: object, tmp_path: Path) -> str:
    with pytest.raises(UserError) as error:
        at(name, tmp_path)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(place: Place) -> set[str]:
    return set(place.repository.files(place.repository.tree()))


ALL = {"README.md", "one/file", "two/deep/file"}


def test_a_checkout_is_looked_at_where_its_remote_has_its_default_branch(
    checkout: Path, bare: Path, tmp_path: Path
) -> None:
    place = at(checkout, tmp_path)
    assert (place.branch, place.remote, place.address) == ("trunk", "origin", str(bare))
    assert names(place) == ALL
    assert place.checkout == checkout


def test_the_remote_is_asked_where_a_checkout_does_not_know(
    checkout: Path, bare: Path, tmp_path: Path
) -> None:
    git(checkout, "remote", "set-head", "origin", "--delete")
    git(bare, "symbolic-ref", "HEAD", "refs/heads/other")
    assert at(checkout, tmp_path).branch == "other"
    # As when the default branch was renamed.
    git(checkout, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    assert at(checkout, tmp_path).branch == "other"
    git(checkout, "update-ref", "-d", "refs/remotes/origin/other")
    assert told(checkout, tmp_path) == "other of origin is not here; run git fetch origin"


def test_a_remote_that_is_gone_is_one_line(checkout: Path, bare: Path, tmp_path: Path) -> None:
    git(checkout, "remote", "set-head", "origin", "--delete")
    bare.rename(tmp_path / "moved.git")
    line = told(checkout, tmp_path)
    assert line.startswith("its default branch cannot be told: refs/remotes/origin/HEAD names none")
    assert "does not appear to be a git repository" in line


def test_of_several_remotes_only_origin_counts(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "remote", "add", "upstream", "nowhere")
    assert at(checkout, tmp_path).remote == "origin"
    git(checkout, "remote", "rename", "origin", "mine")
    assert told(checkout, tmp_path) == (
        "its default branch cannot be told: none of its remotes mine, upstream is origin"
    )


def test_without_a_remote_it_is_what_a_clone_would_take(source: Path, tmp_path: Path) -> None:
    git(source, "switch", "--quiet", "other")
    assert at(source, tmp_path).branch == "other"
    git(source, "switch", "--quiet", "--detach")
    assert "it has no remote, and HEAD is on no branch" in told(source, tmp_path)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_bare_repository_and_an_address_are_looked_at_where_head_is(
    bare: Path, tmp_path: Path, form: str
) -> None:
    git(bare, "symbolic-ref", "HEAD", "refs/heads/other")
    name = form.format(bare)
    assert at(name, tmp_path).branch == "other"
    assert names(at(f"{name}#subdirectory=two/deep", tmp_path)) == {"file"}
    assert names(at(f"{name}#subdirectory=one/", tmp_path)) == {"file"}
    assert told(f"{name}#subdirectory=three", tmp_path) == "other has no folder three"
    assert "leaves the repository" in told(f"{name}#subdirectory=../one", tmp_path)


def test_an_address_is_cloned_once_for_all_its_projects(bare: Path, tmp_path: Path) -> None:
    places = [at(f"file://{bare}#subdirectory={one}", tmp_path) for one in ("one", "two/deep")]
    assert len({place.repository.folder for place in places}) == 1


def test_a_remote_without_a_default_branch_is_one_line(bare: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    assert told(f"file://{tmp_path}/empty.git", tmp_path) == (
        "the remote's default branch cannot be told: it has no commit"
    )
    git(bare, "symbolic-ref", "HEAD", "refs/heads/gone")
    line = "the remote's default branch cannot be told: its HEAD names no branch that is there"
    assert told(f"file://{bare}", tmp_path) == line
    git(bare, "update-ref", "--no-deref", "HEAD", git(bare, "rev-parse", "trunk").strip())
    assert told(f"file://{bare}", tmp_path) == line


def test_a_folder_that_only_another_branch_has_is_one_line(checkout: Path, tmp_path: Path) -> None:
    (checkout / "new").mkdir()
    (checkout / "new/file").write_text("new", "utf-8")
    commit_all(checkout, "New")
    assert told(checkout / "new", tmp_path) == "trunk has no folder new"
    assert names(at(checkout / "one", tmp_path)) == {"file"}
    assert "give that folder itself" in told(f"{checkout}#subdirectory=one", tmp_path)


def test_a_branch_is_made_where_it_belongs(checkout: Path, bare: Path, tmp_path: Path) -> None:
    place, remote = at(checkout, tmp_path), at(f"file://{bare}", tmp_path)
    assert (place.has("new"), remote.has("new")) == ("", "")
    place.make("new", commit(place))
    assert place.has("new") == "new"
    assert not git(bare, "branch", "--list", "new")
    remote.make("newer", commit(remote))
    assert at(f"file://{bare}", tmp_path).has("newer") == "newer"
    git(checkout, "fetch", "--quiet")
    assert at(checkout, tmp_path).has("newer") == "origin/newer"


@pytest.fixture
def key(source: Path, tmp_path: Path) -> Path:
    """A key, with which the repository's settings have its commits signed."""
    path = tmp_path / "key"
    made(path)
    for setting in ("commit.gpgSign yes", "gpg.format ssh", f"user.signingKey {path}"):
        git(source, "config", *setting.split())
    return path


def made(key: Path, passphrase: str = "") -> None:
    installed("ssh-keygen")
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(key))
    subprocess.run(words, check=True, capture_output=True)


def commit(place: Place) -> str:
    return place.repository.commit_project(place.repository.tree(), "Again")


def test_a_commit_is_signed_where_the_settings_say_so(
    source: Path, key: Path, tmp_path: Path
) -> None:
    signers = tmp_path / "signers"
    signers.write_text(f"tester@example.com {key.with_suffix('.pub').read_text('utf-8')}", "utf-8")
    git(source, "config", "gpg.ssh.allowedSignersFile", str(signers))
    git(source, "verify-commit", commit(at(source, tmp_path)))
    git(source, "config", "commit.gpgSign", "no")
    assert "gpgsig" not in git(source, "cat-file", "commit", commit(at(source, tmp_path)))


@pytest.mark.parametrize("fault", ["no key", "a passphrase", "no program"])
def test_what_keeps_a_commit_from_being_signed_is_one_line_of_that_project(
    source: Path, key: Path, tmp_path: Path, fault: str
) -> None:
    key.unlink()
    key.with_suffix(".pub").unlink()
    if fault == "a passphrase":
        made(key, "unknown here")
    if fault == "no program":
        git(source, "config", "gpg.ssh.program", "nowhere")
    # In a process as a fleet has them, which have nobody to ask.
    with ProcessPoolExecutor(1, None, prepared) as pool, pytest.raises(GitError) as error:
        pool.submit(commit, at(source, tmp_path)).result(timeout=30)
    line = str(error.value)
    assert line.startswith("the commit cannot be signed: ")
    words = {"no key": "No such file", "a passphrase": "passphrase", "no program": "nowhere"}
    assert words[fault] in line
    assert "\n" not in line
