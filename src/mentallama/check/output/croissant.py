"""Croissant metadata of a built data set (version 1.1, with the responsible-AI vocabulary 1.0): `croissant.json`.

Terms of use are given per set, as a licence and as an ODRL offer whose actions and constraints are terms of the Data
Use Ontology. What only the publisher knows comes from `check.publication`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mentallama import __version__
from mentallama.check.output.dataset import COLUMN_DESCRIPTIONS, DATASET_FOLDER
from mentallama.check.output.dataset_card import PROVIDER_TERMS, DatasetCardData
from mentallama.config.check import Publication
from mentallama.files.manifest import FileDigest, digest_folder
from mentallama.records import FORMS, SPLITS, Form
from mentallama.safety import NOTICE
from mentallama.tasks import Task
from mentallama.tasks.schema import DataUse
from mentallama.tasks.terms import DUO_CODES, DUO_PERMISSIONS, SYNTHETIC_SPDX, spdx_of_posts, spdx_url

Json = dict[str, Any]

SPECIFICATIONS = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "duo": "http://purl.obolibrary.org/obo/DUO_",
    "conformsTo": "dct:conformsTo",
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS},
}
"""JSON-LD context: that of the specification, and the vocabularies of provenance and terms of use."""

_ENCODING_FORMATS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
_SPLIT_CLASSES = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}

_USE_CASES = (
    "Training and evaluating models that classify posts about mental health and give a reason, for research.",
    "Studying how well explanations agree with labels and with the words of a post.",
)
_NOT_FOR = (
    "Not for diagnosis, and not for decisions about a person: a label says what a post's words show to a reader, or "
    "what a rule over communities says, and never what its author has."
)
_LIMITATIONS = (
    "Labels of weakly annotated sets follow from the community that a post was written in.",
    "One post rarely says enough about its author; nothing is known about the time before or after it.",
    "Explanations are written by models or templates; they support the label and are no account of how it came about.",
    "Responses that failed a gate are left out, so that the rows are easier to explain than posts are.",
)
_BIASES = (
    "The posts come from few platforms and communities, whose users are not the population; ages, genders and regions "
    "of their authors are not known.",
    "Groups write about distress in different words, so that labels and models can be less right for some of them.",
    "Explanations carry the preferences of the model that wrote them.",
)
_SENSITIVE = (
    "Health: posts describe the mental health and the circumstances of people, such as family, work and money.",
    "Names, handles, links, e-mail addresses and phone numbers were replaced by placeholders; a post may still be "
    "found by its words, so do not try to identify authors.",
)
_SOCIAL_IMPACT = (
    "Models trained on these rows can help to study how distress is expressed. Used on people without their knowledge, "
    "they can expose, stigmatise or mislabel them; do not use them to monitor, rank or screen anyone."
)
_PREPROCESSING = (
    "Mis-decoded characters were repaired and personal details replaced by placeholders.",
    "Copies and near copies of test posts were removed from the other splits, within the scope that the dataset card "
    "names.",
    "Responses were dropped for the reasons counted in gates.json.",
)
_ANNOTATIONS_PER_ITEM = (
    "One label per post and question; how many people gave it is not part of the source files."
)
_RELEASE_PLAN = (
    "The data set is built from its sources by a recipe; build it again to change it. Posts of a person who asks for "
    "it are erased with `mentallama forget`, and the next build does not bring them back."
)
_ANNOTATION = {
    "human": "labelled by people",
    "weak": "labelled by a rule over communities or users",
    "none": "without published labels",
}


def croissant_metadata(card: DatasetCardData, publication: Publication, files: Sequence[FileDigest]) -> Json:
    """The content of `croissant.json`.

    Parameters
    ----------
    files
        The files of the data set, named by their paths in the folder of the card.
    """
    suffix = ".parquet" if card.parquet else ".jsonl"
    offers = [offer for name, task in _tasks(card) for offer in _offers(task, card.has_real_posts(name))]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": card.name,
        "description": f"{_description(card)} {NOTICE}",
        "conformsTo": list(SPECIFICATIONS),
        **_publication(publication),
        "license": list(_licences(card)),
        **({"usageInfo": offers} if offers else {}),
        "inLanguage": sorted(set(card.languages)),
        "keywords": ["mental health", "explanations", "instruction tuning", "social media"],
        "isLiveDataset": False,
        **_responsible_ai(card),
        **_provenance(card),
        "distribution": [*map(_file_object, files), *(_file_set(form, suffix) for form in FORMS)],
        "recordSet": [_splits(), *(_record_set(form) for form in FORMS)],
    }


def dataset_files(out: Path) -> list[FileDigest]:
    """Digests of the data set's files, named by their paths below `out`, the folder of the stage."""
    folder = out / DATASET_FOLDER
    return [
        file.model_copy(update={"name": f"{DATASET_FOLDER}/{file.name}"}) for file in digest_folder(folder)
    ]


def _tasks(card: DatasetCardData) -> Iterator[tuple[str, Task]]:
    return ((name, card.tasks[name]) for name in card.sets)


def _description(card: DatasetCardData) -> str:
    sets = ", ".join(f"{name} ({task.title})" for name, task in _tasks(card))
    return (
        f"{card.count_rows():,} rows, each a question about a post from social media and an answer with its reason. "
        f"Sets: {sets}. Every row is there in two forms, `instruction` and `completion`."
    )


def _publication(publication: Publication) -> Json:
    creators = [{"@type": "sc:Organization", "name": name} for name in publication.creators]
    given = {
        "creator": creators or None,
        "url": publication.url,
        "version": publication.version,
        "datePublished": None if publication.date is None else publication.date.isoformat(),
        "citeAs": publication.citation,
    }
    return {name: value for name, value in given.items() if value is not None}


def _licences(card: DatasetCardData) -> Iterator[str | Json]:
    """Address of this project's licence if nothing else is in the data; else the terms of each set's posts and of the
    explanations."""
    if not card.has_model_explanations and not any(map(card.has_real_posts, card.sets)):
        yield spdx_url(SYNTHETIC_SPDX)
        return
    for name, task in _tasks(card):
        identifier = spdx_of_posts(task, not card.has_real_posts(name))
        if identifier is not None:
            yield {"@type": "sc:CreativeWork", "name": f"{name}: {identifier}", "url": spdx_url(identifier)}
        else:
            obtain = f"How to get the posts: {task.obtain or 'not published'}."
            yield {"@type": "sc:CreativeWork", "name": f"{name}: {task.licence}", "description": obtain}
    if card.has_model_explanations:
        yield {"@type": "sc:CreativeWork", "name": "explanations", "description": PROVIDER_TERMS}


def _offers(task: Task, has_real_posts: bool) -> Iterator[Json]:
    """The terms of a set's posts as an ODRL offer; nothing for synthetic posts, or if the licence says all."""
    if not has_real_posts or not (task.data_use or task.needs_agreement):
        return
    permitted = [_duo_term(use) for use in task.data_use if use in DUO_PERMISSIONS]
    constraints = [_constraint(use) for use in task.data_use if use not in DUO_PERMISSIONS]
    if constraints and not permitted:
        permitted = [{"@id": "odrl:use"}]
    offer: Json = {"@type": ["CreativeWork", "odrl:Offer"], "name": f"{task.set}: {task.licence}"}
    if permitted:
        offer["odrl:permission"] = [
            {
                "@type": "odrl:Permission",
                "odrl:action": action,
                **({"odrl:constraint": constraints} if constraints else {}),
            }
            for action in permitted
        ]
    if task.needs_agreement:
        offer["odrl:prohibition"] = {"@type": "odrl:Prohibition", "odrl:action": {"@id": "odrl:distribute"}}
    yield offer


def _constraint(use: DataUse) -> Json:
    return {
        "@type": "odrl:Constraint",
        "name": use,
        "odrl:operator": {"@id": "odrl:eq"},
        "odrl:rightOperand": _duo_term(use),
    }


def _duo_term(use: DataUse) -> Json:
    return {"@id": f"duo:{DUO_CODES[use]}"}


def _responsible_ai(card: DatasetCardData) -> Json:
    tasks = list(_tasks(card))
    annotation = "; ".join(f"{name}: {_ANNOTATION[task.annotation]}" for name, task in tasks)
    synthetic = {name: count for name, count in card.synthetic.items() if count and name in card.sets}
    real = [name for name, _ in tasks if card.has_real_posts(name)]
    return {
        "rai:dataCollection": " ".join(_collection(card, real, synthetic)),
        "rai:dataCollectionType": [
            *(["Secondary Data analysis", "User-generated content data"] if real else []),
            *(["Others: posts written for this project"] if synthetic else []),
        ],
        "rai:dataCollectionRawData": "; ".join(
            f"{name} ({card.tasks[name].platform}): {card.tasks[name].obtain or 'not published'}"
            for name in real
        )
        or "Synthetic posts in the layout of the sets' files.",
        "rai:dataPreprocessingProtocol": list(_PREPROCESSING),
        "rai:dataAnnotationProtocol": f"Labels come with the sources. {annotation}. {' '.join(card.teachers)} "
        f"{card.prompt or ''}".strip(),
        "rai:dataAnnotationAnalysis": "Gates compared every response with its label and its post; see gates.json.",
        "rai:annotationsPerItem": _ANNOTATIONS_PER_ITEM,
        "rai:annotatorDemographics": "Not part of the source files.",
        "rai:machineAnnotationTools": [teacher.model for teacher in card.gates.teachers],
        "rai:dataUseCases": list(_USE_CASES),
        "rai:dataLimitations": [_NOT_FOR, *_LIMITATIONS],
        "rai:dataBiases": list(_BIASES),
        "rai:personalSensitiveInformation": list(_SENSITIVE),
        "rai:dataSocialImpact": _SOCIAL_IMPACT,
        "rai:dataReleaseMaintenancePlan": _RELEASE_PLAN,
        "rai:hasSyntheticData": True,  # explanations are written by models or templates
    }


def _collection(card: DatasetCardData, real: Sequence[str], synthetic: dict[str, int]) -> Iterator[str]:
    if real:
        yield f"The posts of {', '.join(real)} were collected and labelled by the publishers of these sets."
    if synthetic:
        counts = ", ".join(
            f"{name} {count:,} of {card.count_rows(name):,}" for name, count in synthetic.items()
        )
        yield f"Rows about synthetic posts, which no person wrote about themselves: {counts}."


def _provenance(card: DatasetCardData) -> Json:
    return {
        "prov:wasDerivedFrom": [
            {"@type": "prov:Entity", "prov:label": f"{name}: {task.title}, {task.platform}"}
            for name, task in _tasks(card)
        ],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": f"mentallama {__version__}: collect, teach and check of the recipe {card.name}",
        },
    }


def _file_object(file: FileDigest) -> Json:
    path = Path(file.name)
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": path.name,
        "contentUrl": file.name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _ENCODING_FORMATS[path.suffix],
        "sha256": file.sha256,
    }


def _file_set(form: Form, suffix: str) -> Json:
    return {
        "@type": "cr:FileSet",
        "@id": f"{form}-files",
        "name": f"{form} files",
        "encodingFormat": _ENCODING_FORMATS[suffix],
        "includes": f"{DATASET_FOLDER}/{form}/*{suffix}",
    }


def _splits() -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits, of which validation and test are not for training.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": split, "splits/url": _SPLIT_CLASSES[split]} for split in SPLITS],
    }


def _record_set(form: Form) -> Json:
    files = {"fileSet": {"@id": f"{form}-files"}}
    columns = [
        {
            "@type": "cr:Field",
            "@id": f"{form}/{column}",
            "name": column,
            "description": description,
            "dataType": ["sc:Text", "cr:Label"] if column == "label" else "sc:Text",
            "source": {**files, "extract": {"column": column}},
        }
        for column, description in COLUMN_DESCRIPTIONS.items()
    ]
    split = {
        "@type": "cr:Field",
        "@id": f"{form}/split",
        "name": "split",
        "description": "The split that the row is in.",
        "dataType": "sc:Text",
        "source": {
            **files,
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": rf"^(?:.*/)?({'|'.join(SPLITS)})(?:\.\w+)?$"},
        },
        "references": {"field": {"@id": "splits/name"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": form,
        "name": form,
        "description": f"All rows in {form} form.",
        "key": {"@id": f"{form}/id"},
        "field": [*columns, split],
    }
