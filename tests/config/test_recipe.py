"""Recipes are validated as a whole: all faults at once, each with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from mentallama.config import CausalSettings, Recipe, Teacher, read_recipe
from mentallama.errors import UsageError
from mentallama.pipeline.registry import recipe_stages
from mentallama.tasks import load_tasks
from tests.factories.project import ROOT

PLAIN = "name: mine\ndata: somewhere\n"
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def recipe(folder: Path, text: str, *changes: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, changes)


def faults(folder: Path, text: str, *changes: str) -> list[str]:
    """The listed faults; the count in the first line is checked against them."""
    with pytest.raises(UsageError) as fault:
        recipe(folder, text, *changes)
    head, *listed = str(fault.value).splitlines()
    count = f"{len(listed)} fault{'' if len(listed) == 1 else 's'}"
    assert head == f"{folder / 'r.yaml'}: {count} in the recipe"
    return [line.removeprefix("  - ") for line in listed]


def test_the_shipped_recipes_are_valid_and_open_with_their_command() -> None:
    assert len(RECIPES) >= 2
    for path in RECIPES:
        read = read_recipe(path)
        assert read.name == path.stem
        assert path.read_text(encoding="utf-8").startswith(f"# mentallama run recipes/{path.name}")
        assert recipe_stages(read)


def test_absent_keys_have_their_defaults(tmp_path: Path) -> None:
    read = recipe(tmp_path, PLAIN + "collect:\nreport:\n")
    assert (read.form, read.seed, read.sets, read.data) == ("instruction", 7, (), Path("somewhere"))
    assert [stage.name for stage in recipe_stages(read)] == ["collect", "report"]
    assert read.collect is not None
    assert (read.collect.leak_guard, read.collect.held_out) == ("run", ())
    assert list(read.catalogue()) == list(load_tasks())


def test_sets_are_run_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    assert list(recipe(tmp_path, PLAIN + "sets: [SAD, CAMS]\n").catalogue()) == ["SAD", "CAMS"]


def test_three_faults_are_listed_at_once_with_what_was_meant(tmp_path: Path) -> None:
    text = PLAIN + "colect: {}\nform: oral\nsets: [CAMS, dreadit]\n"
    assert faults(tmp_path, text) == [
        "form: should be 'instruction' or 'completion' (line 4)",
        "colect: no such key; did you mean collect? (line 3)",
        "sets: no set is called 'dreadit'; did you mean dreaddit? (line 5)",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("seeds: 3", "seeds: no such key; did you mean seed?"),
        ("xyzzy: 3", "xyzzy: no such key; known are name, data, sets, form"),
        ("collect: {leak_gard: run}", "collect.leak_gard: no such key; did you mean leak_guard?"),
        ("evaluate: {resample: 200}", "evaluate.resample: no such key; did you mean resamples?"),
        ("evaluate: {resamples: 5}", "evaluate.resamples: should be at least 100"),
        (
            "check: {report_only: [repeated_explanations]}",
            "check: report_only: no gate is called 'repeated_explanations'; did you mean repeated_explanation?",
        ),
        ("check: {length: [40, 4]}", "check: length must be two ascending numbers"),
        (
            "check: {acceptable_poor_share: 0.2}",
            "check: acceptable_poor_share must be smaller than unacceptable_poor_share",
        ),
        ("jobs: 0", "jobs: should be at least 1"),
        ("jobs: two", "jobs: should be a whole number"),
        ("collect: 5", "collect: should be a mapping"),
        ("sets: CAMS", "sets: should be a list, such as [a, b] (line 3)"),
        ("tasks: 5", "tasks: 5: there is no such folder of task files (line 3)"),
        ("sets: [quux]", "sets: no set is called 'quux'; known are CAMS, CLP, DR"),
        ("collect: {held_out: [cams]}", "collect.held_out: no set is called 'cams'; did you mean CAMS?"),
        ("collect: {tables: {DRR: []}}", "collect.tables: no set is called 'DRR'; did you mean DR?"),
        ("collect: {held_out: [Irf], leak_guard: question}", "collect: held_out needs leak_guard: run"),
        ("sets: [DR]\ncollect: {held_out: [Irf]}",
         "collect.held_out: Irf is not among the sets of this recipe"),
        ("collect: {tables: {DR: [{file: a.csv, columns: {text: t, label: x}}]}}",
         "collect.tables.DR[0].columns.label: no such key; did you mean labels?"),
        ("collect: {tables: {DR: [{file: a.csv, colums: {text: t}, columns: {text: t}}]}}",
         "collect.tables.DR[0].colums: no such key; did you mean columns?"),
        ("collect: {tables: {DR: [{file: a.csv, columns: {text: t, labels: {mood: m}}}]}}",
         "collect.tables.DR[0]: DR has no label or question called 'mood'"),
        ("collect: {tables: {DR: [{file: a.csv, columns: {text: t}, codes: {1: [yes]}}]}}",
         "collect.tables.DR[0].codes.1: should be text"),
        ('collect: {tables: {DR: [{file: a.csv, columns: {text: t}, codes: {"1": "joy"}}]}}',
         "collect.tables.DR[0]: DR has no label or question called 'joy'"),
    ],
)  # fmt: skip
def test_each_fault_is_one_sentence(text: str, fault: str, tmp_path: Path) -> None:
    assert any(found.startswith(fault) for found in faults(tmp_path, PLAIN + text + "\n"))


def test_a_recipe_without_name_and_data_lacks_both(tmp_path: Path) -> None:
    assert faults(tmp_path, "seed: 1\n") == ["name: is missing", "data: is missing"]


@pytest.mark.parametrize(
    "name", ["a/b", "..\\x", "", "a b", "..", ".", "/abs", ".hidden", "-x", "con", "NUL.txt", "x.", "a" * 101]
)
def test_a_name_must_be_a_valid_folder_name(name: str, tmp_path: Path) -> None:
    assert [f.split(":")[0] for f in faults(tmp_path, f"name: '{name}'\ndata: d\n")] == ["name"]


def test_set_overrides_a_key_at_any_depth_and_creates_missing_ones(tmp_path: Path) -> None:
    read = recipe(
        tmp_path, PLAIN + "collect:\n  leak_guard: run\n", "seed=3", "collect.leak_guard=question",
        "sets=[DR, SAD]", "evaluate.resamples=500", "data=a=b",
    )  # fmt: skip
    assert (read.seed, read.sets, str(read.data)) == (3, ("DR", "SAD"), "a=b")
    assert read.collect is not None
    assert read.collect.leak_guard == "question"
    assert read.evaluate is not None
    assert read.evaluate.resamples == 500


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("seed", "write it as key=value"),
        ("=3", "write it as key=value"),
        ("name.x=1", "name holds no keys"),
        ("name[0]=1", "name holds no item [0]"),
        ("sets[1]=SAD", "sets holds no item [1]"),
        ("sets.CLP=1", "sets holds no keys"),
        ("data=", "nothing follows the =; write null for no value"),
        ("collect.=1", "write it as key=value"),
        ("sets[x]=1", "write it as key=value"),
        ("seed=!!python/name:os.system", "what follows the = is not YAML"),
        ("seed=[", "what follows the = is not YAML"),
    ],
)
def test_an_override_that_cannot_be_applied_is_a_usage_error(change: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as fault:
        recipe(tmp_path, PLAIN + "sets: [CLP]\n", change)
    assert str(fault.value).startswith(f"--set {change}: ")
    assert what in str(fault.value)


def test_an_override_reaches_into_lists_and_empty_sections(tmp_path: Path) -> None:
    text = (
        PLAIN + "teach: {teacher: [embedded, {spec: 'linear:a'}]}\ntrain: {analyst: causal, base: b, lora:}\n"
    )
    read = recipe(tmp_path, text, "teach.teacher[1].spec=linear:b", "train.lora.rank=4")
    assert read.teach is not None
    assert [teacher.spec for teacher in read.teach.teacher] == ["embedded", "linear:b"]
    assert isinstance(read.train, CausalSettings)
    assert read.train.lora is not None
    assert read.train.lora.rank == 4


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("sets=CLP", "sets: should be a list, such as [a, b] (--set sets)"),
        ("seed=abc", "seed: should be a whole number (--set seed)"),
        ("jobs=1.5", "jobs: should be a whole number (--set jobs)"),
        ("predict.splits=[foo]",
         "predict.splits[0]: should be 'train', 'validation' or 'test' (--set predict.splits)"),
        ("predict.splits=[]", "predict.splits: should not be empty (--set predict.splits)"),
        ("teach.teacher={spec: embedded, modle: x}", "teach.teacher.modle: no such key; "),
        ("train.analyst=forest",
         "train: analyst should be linear, majority, encoder, causal or seq2seq (--set train.analyst)"),
        ("train={analyst: causal, base: b, lora: {target_modules: 5}}",
         "train.lora.target_modules: should be a list, such as [a, b], or should be 'all-linear' (--set train)"),
        ("predict.timeout=.inf", "predict.timeout: should be a number"),
        ("predict.timeout=inf", "predict.timeout: should be a finite number"),
        ("teach.budget=nan", "teach.budget: should be a finite number"),
        ("predict.timeout=-1", "predict.timeout: should be greater than 0"),
        ("collect.test_share=0.7", "collect.test_share: should be less than 0.5"),
        ("check.min_chrf=101", "check.min_chrf: should be at most 100"),
        ("check.length=[5]", "check.length[1]: is missing"),
        ("check.language=perhaps", "check.language: should be true or false"),
        ("seed=-1", "seed: should be at least 0"),
        ("seed=4294967296", "seed: should be less than 4294967296"),
        ("predict.max_new_tokens=2147483648", "predict.max_new_tokens: should be less than 2147483648"),
        ("seed=" + "9" * 5000, "seed: should be a smaller number"),
    ],
)  # fmt: skip
def test_a_fault_of_an_override_is_one_sentence_with_its_key(change: str, fault: str, tmp_path: Path) -> None:
    (found,) = faults(tmp_path, PLAIN, change)
    assert found.startswith(fault)


def test_an_override_of_an_unknown_key_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, PLAIN, "colect.seed=3") == [
        "colect: no such key; did you mean collect? (--set colect.seed)"
    ]


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"a: [\n", "not a YAML file, line 2"),
        (b"a: \xff\n", "not a YAML file"),
        (b"", "not a recipe"),
        (b"- a\n", "not a recipe"),
        (b"name: !!python/object/apply:os.getcwd []\n", "not a YAML file, line 1"),
    ],
)
def test_an_unreadable_recipe_is_a_usage_error(raw: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(raw)
    with pytest.raises(UsageError, match=what):
        read_recipe(tmp_path / "r.yaml")


def test_a_missing_recipe_or_task_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such recipe"):
        read_recipe(tmp_path / "none.yaml")
    assert faults(tmp_path, PLAIN + f"tasks: {tmp_path / 'none'}\n") == [
        f"tasks: {tmp_path / 'none'}: there is no such folder of task files (line 3)"
    ]


def test_a_recipe_is_immutable(tmp_path: Path) -> None:
    read = recipe(tmp_path, PLAIN)
    with pytest.raises(ValueError, match="frozen"):
        read.seed = 1


@pytest.mark.parametrize("name", ["api_key", "Authorization", "access_token", "client_secret"])
def test_a_secret_among_a_teachers_options_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="looks like a secret") as fault:
        Teacher(spec="remote:m@http://127.0.0.1:1/v1", extra_body={name: "hunter2"})
    assert "hunter2" not in fault.value.errors()[0]["msg"]
    assert Teacher(
        spec="remote:m@http://127.0.0.1:1/v1", extra_body={"max_completion_tokens": 9, "top_p": 1}
    ).extra_body


def test_a_fault_that_repeats_a_long_value_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"name: x\ndata: d\n{'k' * 20_000}: 1\n", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_recipe(path)
    assert len(str(raised.value)) < 1200
