"""`mentallama init` and the contents of a wheel: what a stranger without a clone starts with."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from mentallama.answers.parse import read_answer
from mentallama.cli.setup import starter
from mentallama.cli.setup.starter import (
    SHARED_FOLDERS,
    STARTER_NAMES,
    copy_starter,
    missing_recipe_hint,
    starter_sources,
)
from mentallama.config import read_recipe
from mentallama.errors import UsageError
from mentallama.files.tables import read_table
from mentallama.pipeline.run import run
from mentallama.tasks import Task, load_tasks
from tests.factories.project import ROOT, SOURCE


def files_below(folder: Path) -> dict[str, bytes]:
    """Contents by path, without the caches of Python."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_everything_is_copied_whole(tmp_path: Path) -> None:
    study = tmp_path / "a/study"
    assert copy_starter(study) == [study / name for name in STARTER_NAMES]
    assert sorted(path.name for path in study.iterdir()) == sorted(STARTER_NAMES)
    for name in SHARED_FOLDERS:
        copied = files_below(study / name)
        assert copied == files_below(ROOT / name)
        assert len(copied) >= 10
    own = {path: text for path, text in files_below(study).items() if not path.startswith(SHARED_FOLDERS)}
    assert own == files_below(SOURCE / "mentallama/starter")
    assert set(own) == {"README.md", "posts.csv", "tasks/sleep.yaml"}


def test_the_task_template_is_a_task_and_explains_every_key_that_it_must_have(tmp_path: Path) -> None:
    copy_starter(tmp_path)
    task = load_tasks(tmp_path / "tasks")["sleep"]
    assert task.is_yes_no
    assert task.needs_agreement
    for label, spoken in (("yes", "The poster sleeps badly."), ("no", "There is no trouble with sleeping.")):
        reading = read_answer(task, spoken)
        assert reading.label == label
    text = (tmp_path / "tasks/sleep.yaml").read_text(encoding="utf-8")
    keys = {name for name, field in Task.model_fields.items() if field.is_required()}
    keys |= {
        "aliases",
        "negated_aliases",
        "because",
        "explanation_template",
        "`*`",
        "{quotes}",
        "in any language",
    }
    assert [key for key in sorted(keys) if key not in text] == []


def test_the_example_posts_are_a_table_of_the_columns_that_the_help_names(tmp_path: Path) -> None:
    copy_starter(tmp_path)
    rows = [cells for _, cells in read_table(tmp_path / "posts.csv")]
    assert len(rows) == 8
    assert all(set(cells) == {"post_id", "body"} and cells["body"].strip() for cells in rows)
    assert len({cells["post_id"] for cells in rows}) == 8


def test_the_paths_of_the_sample_recipes_are_right_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_starter(tmp_path)
    monkeypatch.chdir(tmp_path)
    recipes = sorted(Path("recipes").glob("sample-*.yaml"))
    assert len(recipes) >= 3
    for recipe in recipes:
        assert read_recipe(recipe).data.is_dir()


@pytest.mark.parametrize("taken", STARTER_NAMES)
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
        if source.name == SHARED_FOLDERS[1]:
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
        starter_sources()
    assert missing_recipe_hint(Path("sample-linear")) == ""


def test_package_data_comes_before_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src/mentallama"
    for name in STARTER_NAMES:
        (package / "starter" / name).mkdir(parents=True)
    for name in SHARED_FOLDERS:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(starter.mentallama, "__file__", str(package / "__init__.py"))
    assert starter_sources() == {name: package / "starter" / name for name in STARTER_NAMES}
    for name in SHARED_FOLDERS:
        (package / "starter" / name).rmdir()
    assert {name: starter_sources()[name] for name in SHARED_FOLDERS} == {
        name: tmp_path / name for name in SHARED_FOLDERS
    }


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
    assert wheel["force-include"] == {name: f"mentallama/starter/{name}" for name in SHARED_FOLDERS}


def test_the_recipe_in_the_readme_trains_on_a_table_of_the_readers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "study"
    copy_starter(study)
    monkeypatch.chdir(study)
    (block,) = re.findall(r"```yaml\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    Path("sleep.yaml").write_text(block, encoding="utf-8")
    table = Path("mine/sources/sleep/posts.csv")
    table.parent.mkdir(parents=True)
    rows = [f"{'awake at night' if i % 2 else 'bread and rain'} {i},{i % 2}" for i in range(60)]
    table.write_text("\n".join(["body,trouble", *rows]) + "\n", encoding="utf-8")
    finished = run(Path("sleep.yaml"), until="train", log=[].append)
    assert finished.model == "linear:runs/sleep/train"
