"""`mentallama init` and the contents of a wheel: what a stranger without a clone starts with."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from mentallama.cli import starter
from mentallama.cli.starter import STARTER_FOLDERS, copy_starter, missing_recipe_hint, starter_root
from mentallama.config import read_recipe
from mentallama.errors import UsageError
from tests.factories.project import ROOT


def files_below(folder: Path) -> dict[str, bytes]:
    """Contents by path, without the caches of Python."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_recipes_and_sample_are_copied_whole(tmp_path: Path) -> None:
    copy_starter(tmp_path / "a/study")
    assert sorted(path.name for path in (tmp_path / "a/study").iterdir()) == sorted(STARTER_FOLDERS)
    for name in STARTER_FOLDERS:
        copied = files_below(tmp_path / "a/study" / name)
        assert copied == files_below(ROOT / name)
        assert len(copied) >= 10


def test_the_paths_of_the_sample_recipes_are_right_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_starter(tmp_path)
    monkeypatch.chdir(tmp_path)
    recipes = sorted(Path("recipes").glob("sample-*.yaml"))
    assert len(recipes) >= 3
    for recipe in recipes:
        assert read_recipe(recipe).data.is_dir()


@pytest.mark.parametrize("taken", STARTER_FOLDERS)
def test_nothing_that_exists_is_replaced(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=rf"{taken}: this exists and is not replaced"):
        copy_starter(tmp_path)
    assert files_below(tmp_path) == {taken: b"mine"}


def test_a_dangling_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "sample").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="sample: this exists"):
        copy_starter(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    copy_starter(tmp_path)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="this is a file"):
        copy_starter(tmp_path / "file")


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copytree = shutil.copytree

    def full_after_the_first(source: Path, target: Path, **options: object) -> object:
        if source.name == STARTER_FOLDERS[1]:
            raise OSError(28, "No space left on device", str(target))
        return copytree(source, target, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copytree", full_after_the_first)
        with pytest.raises(OSError, match="No space left"):
            copy_starter(tmp_path)
    assert list(tmp_path.iterdir()) == []
    copy_starter(tmp_path)


def test_an_installation_without_them_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(starter.mentallama, "__file__", str(tmp_path / "site/mentallama/__init__.py"))
    with pytest.raises(UsageError, match="holds no recipes"):
        starter_root()
    assert missing_recipe_hint(Path("sample-linear")) == ""


def test_package_data_comes_before_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src/mentallama"
    for name in STARTER_FOLDERS:
        (package / "starter" / name).mkdir(parents=True)
        (tmp_path / name).mkdir()
    monkeypatch.setattr(starter.mentallama, "__file__", str(package / "__init__.py"))
    assert starter_root() == package / "starter"
    shutil.rmtree(package)
    assert starter_root() == tmp_path


@pytest.mark.parametrize("name", ["sample-linear", "sample-linear.yaml", "recipes/sample-linear.yml"])
def test_a_shipped_recipe_that_is_not_here_is_pointed_at(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "mentallama init DIR" in missing_recipe_hint(Path(name))
    assert missing_recipe_hint(Path("mine.yaml")) == ""
    copy_starter(tmp_path)
    assert missing_recipe_hint(Path(name)) == "; did you mean recipes/sample-linear.yaml?"


def test_the_wheel_holds_what_init_copies() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["src/mentallama"]
    assert wheel["force-include"] == {name: f"mentallama/starter/{name}" for name in STARTER_FOLDERS}
