"""Reading a site's directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackwright.model.errors import InputError
from rackwright_proposals.tree import belongs, read_library, read_tree


def _write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_yaml_and_templates_are_read(tmp_path: Path) -> None:
    _write(
        tmp_path, "a.yaml", "x/y/b.yaml", "x/y/t.j2", "README.md", ".git/c.yaml", ".d.yaml", "e.yml"
    )
    source = read_tree(tmp_path, "c1")
    assert sorted(source.files) == ["a.yaml", "e.yml", "x/y/b.yaml", "x/y/t.j2"]
    assert source.files["x/y/t.j2"] == b"x/y/t.j2"
    assert source.commit == "c1"
    assert all(belongs(name) for name in source.files)
    assert not any(belongs(name) for name in ("README.md", ".git/c.yaml", "a/.b/c.yaml", ".d.yaml"))


@pytest.mark.parametrize(
    ("name", "message"), [("none", "does not exist"), ("file", "not a directory")]
)
def test_a_site_that_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    _write(tmp_path, "file")
    with pytest.raises(InputError, match=message):
        read_tree(tmp_path / name)


def test_links_out_of_the_site_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "out/secret.yaml", "site/a.yaml", "site/sub/b.yaml")
    site = tmp_path / "site"
    (site / "inside.yaml").symlink_to("a.yaml")
    (site / "loop").symlink_to(".")
    assert sorted(read_tree(site).files) == ["a.yaml", "inside.yaml", "sub/b.yaml"]

    (site / "sub" / "file.yaml").symlink_to("../../out/secret.yaml")
    (site / "folder").symlink_to("../out")
    with pytest.raises(InputError) as caught:
        read_tree(site)
    assert [problem.file for problem in caught.value.problems] == ["folder", "sub/file.yaml"]


def test_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    with pytest.raises(InputError, match="leads nowhere"):
        read_tree(tmp_path)


def test_the_library_is_there() -> None:
    assert "rackwright_roles/vlans/role.yaml" in read_library().files
    assert "rackwright_roles/base-server/motd.j2" in read_library().files
