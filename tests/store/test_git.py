from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rackwright.model.errors import Permanent, Temporary
from rackwright_store.git import Follower, masked

from .rack import Repository


def every(path: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://bob:s3cret@git.example/x.git", "https://***@git.example/x.git"),
        ("fatal: unable to access 'https://tok@h/x': no", "fatal: unable to access 'https://***@h/x': no"),
        ("ssh://git@host/x and https://a:b@c/d", "ssh://***@host/x and https://***@c/d"),
        ("https://git.example/x@y", "https://git.example/x@y"),
        ("git@host:x.git", "git@host:x.git"),
    ],
)  # fmt: skip
def test_credentials_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize("form", ["path", "bare", "url"])
def test_follows_a_branch(repo: Repository, tmp_path: Path, form: str) -> None:
    first = repo.commit({"a.yaml": "1", "dir/b.yaml": "2"})
    site = str(repo.path)
    if form == "bare":
        repo.git("clone", "--quiet", "--bare", site, str(tmp_path / "bare.git"))
        repo.git("remote", "add", "up", str(tmp_path / "bare.git"))
        site = str(tmp_path / "bare.git")
    elif form == "url":
        site = f"file://{repo.path}"
    follower = Follower(site, tmp_path / "mirror.git")
    assert follower.local is (form != "url")
    assert follower.head() == follower.fetch() == first
    assert follower.tree(first, every) == {"a.yaml": b"1", "dir/b.yaml": b"2"}
    second = repo.commit({"a.yaml": "3"})
    if form == "bare":
        repo.git("push", "--quiet", "up", "main")
    assert follower.head() == follower.fetch() == second
    assert follower.tree(second, every)["a.yaml"] == b"3"
    assert follower.tree(first, every)["a.yaml"] == b"1"


def test_a_named_branch(repo: Repository, tmp_path: Path) -> None:
    main = repo.commit({"a.yaml": "main"})
    repo.git("checkout", "--quiet", "-b", "feature/x")
    other = repo.commit({"a.yaml": "x"})
    assert Follower(str(repo.path), tmp_path / "m1", branch="main").head() == main
    assert Follower(f"file://{repo.path}", tmp_path / "m2", branch="feature/x").fetch() == other
    with pytest.raises(Temporary, match="no such branch"):
        Follower(str(repo.path), tmp_path / "m3", branch="nowhere").head()
    with pytest.raises(Permanent, match="cannot be a branch's name"):
        Follower(str(repo.path), tmp_path / "m4", branch="--upload-pack=x")


def test_a_directory_of_a_repository(repo: Repository, tmp_path: Path) -> None:
    commit = repo.commit({"a.yaml": "out", "proposals/lab/a.yaml": "in", "proposals/lab2/x": ""})
    follower = Follower(str(repo.path / "proposals" / "lab"), tmp_path / "mirror.git")
    assert follower.fetch() == commit
    assert follower.tree(commit, every) == {"a.yaml": b"in"}


def test_what_belongs_is_all_that_is_read(repo: Repository, tmp_path: Path) -> None:
    commit = repo.commit(
        {"a.yaml": "1", "big.iso": "x" * 100, "ü mlaut.yaml": "é", "empty.yaml": ""}
    )
    follower = Follower(str(repo.path), tmp_path / "mirror.git")
    follower.fetch()
    assert follower.tree(commit, lambda path: path.endswith(".yaml")) == {
        "a.yaml": b"1",
        "empty.yaml": b"",
        "ü mlaut.yaml": "é".encode(),
    }


def test_symbolic_links_inside_the_site_are_followed_and_others_left_out(
    repo: Repository, tmp_path: Path
) -> None:
    (repo.path / "d").mkdir()
    for name, target in {
        "d/in.yaml": "../a.yaml",
        "hop.yaml": "d/in.yaml",
        "out.yaml": "../../etc/passwd",
        "root.yaml": "/etc/passwd",
        "loop.yaml": "loop2.yaml",
        "loop2.yaml": "loop.yaml",
    }.items():
        (repo.path / name).symlink_to(target)
    commit = repo.commit({"a.yaml": "1"})
    follower = Follower(str(repo.path), tmp_path / "mirror.git")
    follower.fetch()
    assert follower.tree(commit, every) == {"a.yaml": b"1", "d/in.yaml": b"1", "hop.yaml": b"1"}


def test_attributes_do_not_change_what_is_read(repo: Repository, tmp_path: Path) -> None:
    files = {".gitattributes": "* export-subst\nb.yaml export-ignore\n", "a.yaml": "$Format:%H$", "b.yaml": "2"}  # fmt: skip
    commit = repo.commit(files)
    follower = Follower(str(repo.path), tmp_path / "mirror.git")
    follower.fetch()
    assert follower.tree(commit, every) == {name: text.encode() for name, text in files.items()}


def test_a_rewritten_history_is_followed_and_what_was_kept_stays(
    repo: Repository, tmp_path: Path
) -> None:
    kept = repo.commit({"a.yaml": "old"})
    follower = Follower(f"file://{repo.path}", tmp_path / "mirror.git")
    follower.fetch()
    follower.keep(kept)
    repo.git("checkout", "--quiet", "--orphan", "fresh")
    new = repo.commit({"a.yaml": "new"})
    repo.git("branch", "-M", "fresh", "main")
    assert follower.head() == follower.fetch() == new
    repo.git("--git-dir", str(tmp_path / "mirror.git"), "gc", "--quiet", "--prune=now")
    assert follower.tree(kept, every) == {"a.yaml": b"old"}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_repository_that_goes_away_and_comes_back(
    repo: Repository, tmp_path: Path, form: str
) -> None:
    commit = repo.commit({"a.yaml": "1"})
    follower = Follower(form.format(repo.path), tmp_path / "mirror.git")
    follower.fetch()
    moved = repo.path.rename(tmp_path / "elsewhere")
    with pytest.raises(Temporary):
        follower.head()
    with pytest.raises(Temporary):
        follower.fetch()
    assert follower.tree(commit, every) == {"a.yaml": b"1"}
    moved.rename(repo.path)
    assert follower.head() == commit


def test_an_empty_repository_waits_for_its_first_commit(repo: Repository, tmp_path: Path) -> None:
    follower = Follower(str(repo.path), tmp_path / "mirror.git")
    with pytest.raises(Temporary, match="no commit on it yet"):
        follower.head()
    commit = repo.commit({"a.yaml": "1"})
    assert follower.head() == commit


def test_what_is_no_repository_is_said(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(Permanent, match="not a git repository"):
        Follower(str(tmp_path / "plain"), tmp_path / "m1")
    with pytest.raises(Permanent, match="no such directory"):
        Follower(str(tmp_path / "nowhere"), tmp_path / "m2")


def test_an_unreachable_url_is_temporary_and_shows_no_credentials(tmp_path: Path) -> None:
    follower = Follower("http://bob:hunter2@127.0.0.1:1/x.git", tmp_path / "mirror.git")
    with pytest.raises(Temporary) as caught:
        follower.head()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in follower.shown
    assert not any(
        "hunter2" in file.read_text(errors="replace")
        for file in (tmp_path / "mirror.git").rglob("*")
        if file.is_file()
    )


def test_locks_left_by_a_killed_git_do_no_harm(repo: Repository, tmp_path: Path) -> None:
    repo.commit({"a.yaml": "1"})
    mirror = tmp_path / "mirror.git"
    Follower(str(repo.path), mirror).fetch()
    (mirror / "refs" / "rackwright" / "head.lock").touch()
    (mirror / "packed-refs.lock").touch()
    commit = repo.commit({"a.yaml": "2"})
    assert Follower(str(repo.path), mirror).fetch() == commit


def test_a_git_that_hangs_is_ended(repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    repo.commit({"a.yaml": "1"})
    Follower(str(repo.path), tmp_path / "mirror.git")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *ls-remote*) sleep 60;; esac\nexec {shutil.which("git")} "$@"\n'
    )
    (bin_dir / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    follower = Follower(f"file://{repo.path}", tmp_path / "mirror.git", timeout=0.5)
    with pytest.raises(Temporary, match="did not answer"):
        follower.head()
