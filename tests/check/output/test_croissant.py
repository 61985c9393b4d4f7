"""Croissant metadata: read by the real `mlcroissant`, and compared with the rows and the terms of the sets."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.format import write_answer
from mentallama.check.output.croissant import CONTEXT, croissant_metadata, dataset_files
from mentallama.check.output.dataset import DATASET_COLUMNS, AcceptedResponse, dataset_writer
from mentallama.check.output.dataset_card import TEMPLATE_TEACHER, DatasetCardData
from mentallama.check.output.gate_report_schema import AcceptedCount, GateReport, TeacherCounts
from mentallama.check.response_rows import ResponseRow
from mentallama.config import Publication
from mentallama.files.atomic import write_json
from mentallama.records import FORMS, Split
from mentallama.tasks import load_tasks
from mentallama.tasks.schema import DataUse
from mentallama.tasks.terms import DUO_CODES
from tests.factories.check_cases import post_of, row_for

TASKS = load_tasks()
PUBLISHED = Publication(
    creators=("A group",),
    url="https://example.org/set",
    date=dt.date(2026, 11, 28),
    citation="A group, 2026.",
)
TEXTS = ('The rent "is due",\nagain.', "None", "夜里睡不着", "007", "1.50", "2026-01-02")


def card_of(
    counts: Sequence[tuple[str, Split, str, int]], *, parquet: bool = True, **more: Any
) -> DatasetCardData:
    accepted = tuple(AcceptedCount(set=s, split=split, label=k, rows=n) for s, split, k, n in counts)
    report = GateReport(
        responses=9, accepted=sum(row.rows for row in accepted), unanswered=0, gates=(),
        accepted_by_label=accepted, teachers=(TeacherCounts(model="m", responses=9, passed=9, accepted=9),),
    )  # fmt: skip
    return DatasetCardData("a-build", report, TASKS, parquet, ("en",), **more)


def metadata_of(*counts: tuple[str, Split, str, int], **more: Any) -> dict[str, Any]:
    return croissant_metadata(card_of(counts, **more), Publication(), [])


# --- mlcroissant -----------------------------------------------------------------------------------------

LOAD = """
import json, sys
import mlcroissant as mlc
dataset = mlc.Dataset(jsonld=sys.argv[1])
issues = dataset.metadata.ctx.issues
records = {name: [{k: v.decode() for k, v in row.items()} for row in dataset.records(name)]
           for name in ("instruction", "completion")}
print(json.dumps({"errors": sorted(issues.errors), "warnings": sorted(issues.warnings), "records": records,
                  "metadata": dataset.metadata.to_json()}, default=str))
"""


def build(folder: Path, splits: Sequence[Split], parquet: bool, texts: Sequence[str]) -> list[ResponseRow]:
    """A built data set with its metadata, as check writes them."""
    rows = [
        row_for(
            post_of("dreaddit", text, {"stress": "yes"}, split, number),
            "stress",
            write_answer("dreaddit", "stress", "yes", f"It says “{text}”."),
        )
        for split in splits
        for number, text in enumerate(texts)
    ]
    with dataset_writer(folder, "instruction", parquet) as accept:
        for row in rows:
            accept(AcceptedResponse(row, "yes"))
    card = card_of([("dreaddit", split, "yes", len(texts)) for split in splits], parquet=parquet)
    write_json(folder / "croissant.json", croissant_metadata(card, PUBLISHED, dataset_files(folder)))
    return rows


def load(folder: Path, home: Path) -> tuple[dict[str, Any], str]:
    """What mlcroissant reads, in a process without a network, and what it logs."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "https_proxy": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder / "croissant.json")],
        capture_output=True, text=True, env=environment, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("splits", "parquet", "texts"),
    [(("train", "validation", "test"), True, TEXTS), (("train", "test"), False, TEXTS[:3])],
    ids=["parquet", "no validation, JSON Lines"],
)
def test_mlcroissant_finds_no_fault_and_reads_our_rows(
    splits: tuple[Split, ...], parquet: bool, texts: Sequence[str], tmp_path: Path
) -> None:
    rows = build(tmp_path / "set", splits, parquet, texts)
    found, log = load(tmp_path / "set", tmp_path)
    assert (found["errors"], found["warnings"], log) == ([], [], "")
    for form in FORMS:
        expected = [
            {**AcceptedResponse(row, "yes").dataset_row(form), "split": row.post.split} for row in rows
        ]
        records = [
            {key.removeprefix(f"{form}/"): value for key, value in record.items()}
            for record in found["records"][form]
        ]
        assert sorted(records, key=str) == sorted(expected, key=str)
        assert len(records) == len(splits) * len(texts)
        assert set(records[0]) == {*DATASET_COLUMNS, "split"}
    # what it writes back holds what it understood
    kept = found["metadata"]
    assert kept["rai:dataBiases"]
    assert kept["rai:personalSensitiveInformation"]
    assert kept["creator"]["name"] == "A group"
    assert kept["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]


def test_files_are_listed_with_size_and_digest(tmp_path: Path) -> None:
    build(tmp_path, ("train", "test"), True, TEXTS)
    metadata = json.loads((tmp_path / "croissant.json").read_text(encoding="utf-8"))
    listed = [node for node in metadata["distribution"] if node["@type"] == "cr:FileObject"]
    assert sorted(node["contentUrl"] for node in listed) == sorted(
        path.relative_to(tmp_path).as_posix() for path in (tmp_path / "data").rglob("*.*")
    )
    assert len(listed) == 2 * 2 * 2  # forms, splits, formats
    for node in listed:
        content = (tmp_path / node["contentUrl"]).read_bytes()
        assert node["sha256"] == hashlib.sha256(content).hexdigest()
        assert node["contentSize"] == f"{len(content)} B"


def test_the_context_is_the_one_that_mlcroissant_knows() -> None:
    import mlcroissant

    version = mlcroissant.Metadata(
        ctx=mlcroissant.Context(conforms_to="http://mlcommons.org/croissant/1.1"), name="x"
    )
    standard = version.to_json()["@context"]
    assert {key: CONTEXT.get(key) for key in standard} == standard


# --- terms -----------------------------------------------------------------------------------------------


def test_terms_of_a_set_with_an_agreement() -> None:
    metadata = metadata_of(("DR", "train", "yes", 3), teachers=("A model was asked.",))
    posts, explanations = metadata["license"]
    assert posts == {
        "@type": "sc:CreativeWork",
        "name": f"DR: {TASKS['DR'].licence}",
        "description": f"How to get the posts: {TASKS['DR'].obtain}.",
    }
    assert explanations["name"] == "explanations"
    (offer,) = metadata["usageInfo"]
    assert offer["@type"] == ["CreativeWork", "odrl:Offer"]
    (permission,) = offer["odrl:permission"]
    assert permission["odrl:action"] == {"@id": "duo:0000042"}
    assert permission["odrl:constraint"] == [
        {
            "@type": "odrl:Constraint",
            "name": "user specific restriction",
            "odrl:operator": {"@id": "odrl:eq"},
            "odrl:rightOperand": {"@id": "duo:0000026"},
        }
    ]
    assert offer["odrl:prohibition"]["odrl:action"] == {"@id": "odrl:distribute"}


def test_a_restriction_stands_without_a_permission_too() -> None:
    task = TASKS["CAMS"].model_copy(update={"data_use": ("not for profit, non commercial use only",)})
    card = dataclasses.replace(card_of([("CAMS", "train", "none", 1)]), tasks={"CAMS": task})
    (offer,) = croissant_metadata(card, Publication(), [])["usageInfo"]
    (permission,) = offer["odrl:permission"]
    assert permission["odrl:action"] == {"@id": "odrl:use"}
    assert [node["odrl:rightOperand"] for node in permission["odrl:constraint"]] == [{"@id": "duo:0000018"}]


def test_a_standard_licence_is_named_by_its_address_and_only_for_its_own_set() -> None:
    sad = metadata_of(("SAD", "train", "work", 2), teachers=(TEMPLATE_TEACHER,))
    assert sad["license"] == [
        {"@type": "sc:CreativeWork", "name": "SAD: MIT", "url": "https://spdx.org/licenses/MIT.html"}
    ]
    assert "usageInfo" not in sad  # the licence says all
    both = metadata_of(
        ("SAD", "train", "work", 2), ("CAMS", "train", "none", 1), teachers=(TEMPLATE_TEACHER,)
    )
    assert [node["name"] for node in both["license"]] == ["SAD: MIT", f"CAMS: {TASKS['CAMS'].licence}"]
    assert [offer["name"] for offer in both["usageInfo"]] == [f"CAMS: {TASKS['CAMS'].licence}"]


@pytest.mark.parametrize(
    ("synthetic", "real", "free"),
    [({"DR": 3}, {}, True), ({"DR": 2}, {}, True), ({"DR": 2}, {"DR": 1}, False), ({}, {}, False)],
    ids=["all", "all that can be told", "not all", "none that can be told"],
)
def test_posts_are_free_only_if_they_are_synthetic(
    synthetic: dict[str, int], real: dict[str, int], free: bool
) -> None:
    metadata = metadata_of(
        ("DR", "train", "yes", 3), synthetic=synthetic, real=real, teachers=(TEMPLATE_TEACHER,)
    )
    assert (metadata["license"] == ["https://spdx.org/licenses/MIT.html"]) == free
    assert ("usageInfo" not in metadata) == free
    assert ("Secondary Data analysis" in metadata["rai:dataCollectionType"]) != free


def test_explanations_of_a_model_are_not_under_our_licence() -> None:
    metadata = metadata_of(("DR", "train", "yes", 3), synthetic={"DR": 3}, teachers=("A model was asked.",))
    assert [node["name"] for node in metadata["license"]] == ["DR: MIT", "explanations"]


def test_every_label_of_the_data_use_ontology_has_its_number() -> None:
    assert set(DUO_CODES) == set(DataUse.__args__)  # type: ignore[attr-defined]
    assert all(len(code) == 7 and code.isdigit() for code in DUO_CODES.values())
    assert len(set(DUO_CODES.values())) == len(DUO_CODES)


def test_every_shipped_task_has_terms_and_only_sets_with_agreements_are_restricted_to_users() -> None:
    for task in TASKS.values():
        assert task.spdx or task.data_use
        assert ("user specific restriction" in task.data_use) == task.needs_agreement
    assert [task.set for task in TASKS.values() if task.spdx] == ["SAD"]


# --- what only the publisher knows -----------------------------------------------------------------------


def test_nothing_about_the_publication_is_invented() -> None:
    metadata = metadata_of(("DR", "train", "yes", 3))
    assert metadata["version"] == "1.0.0"
    assert not {"creator", "url", "datePublished", "citeAs"} & set(metadata)
    given = croissant_metadata(card_of([("DR", "train", "yes", 3)]), PUBLISHED, [])
    assert given["datePublished"] == "2026-11-28"
    assert given["creator"] == [{"@type": "sc:Organization", "name": "A group"}]
    assert (given["url"], given["citeAs"]) == ("https://example.org/set", "A group, 2026.")


def test_responsible_ai_fields_say_whose_labels_and_explanations_these_are() -> None:
    metadata = metadata_of(
        ("DR", "train", "yes", 3), ("SAD", "test", "work", 2), synthetic={"SAD": 1}, real={"DR": 3, "SAD": 1},
        teachers=("A model was asked.",), prompt="Prompts of version 1.",
    )  # fmt: skip
    assert "DR: labelled by a rule over communities or users; SAD: labelled by people" in (
        protocol := metadata["rai:dataAnnotationProtocol"]
    )
    assert protocol.endswith("A model was asked. Prompts of version 1.")
    assert metadata["rai:dataCollection"].startswith("The posts of DR, SAD were collected")
    assert "SAD 1 of 2" in metadata["rai:dataCollection"]
    assert metadata["rai:machineAnnotationTools"] == ["m"]
    assert metadata["rai:hasSyntheticData"] is True
    assert "diagnosis" in metadata["rai:dataLimitations"][0]
    assert [node["prov:label"] for node in metadata["prov:wasDerivedFrom"]] == [
        "DR: depression detection, Reddit",
        "SAD: stress cause detection, SMS",
    ]
