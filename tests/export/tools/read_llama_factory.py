"""Read rows as LLaMA-Factory does: PACKAGE FOLDER... -> JSON, folder -> name -> its columns `_prompt` and `_response`.

PACKAGE is the folder of llamafactory. Only its modules that read dataset_info.json and convert rows are imported, with
what they import; torch and other libraries for models, which these modules name and do not use here, are replaced by
dummies.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

package = Path(sys.argv[1])
import datasets  # noqa: E402, F401 - asks whether there is a torch, so before there is a dummy of one

_DUMMIES = (
    "torch", "torch.distributed", "peft", "peft.utils", "transformers", "transformers.dynamic_module_utils",
    "transformers.utils", "transformers.utils.versions",
)  # fmt: skip
sys.modules.update((name, MagicMock()) for name in _DUMMIES)
data = ModuleType("llamafactory.data")
data.__path__ = [str(package / "data")]
sys.path.insert(0, str(package.parent))
sys.modules["llamafactory.data"] = data
parser, converter = import_module("llamafactory.data.parser"), import_module("llamafactory.data.converter")


def read(folder: Path, name: str) -> list[dict]:
    [attributes] = parser.get_dataset_list([name], str(folder))
    assert attributes.load_from == "file"
    convert = converter.get_dataset_converter(
        attributes.formatting, attributes, SimpleNamespace(media_dir="")
    )
    lines = (folder / attributes.dataset_name).read_text(encoding="utf-8").splitlines()
    rows = [convert(json.loads(line)) for line in lines]
    return [{key: row[key] for key in ("_prompt", "_response")} for row in rows]


found = {}
for folder in map(Path, sys.argv[2:]):
    names = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    found[folder.name] = {name: read(folder, name) for name in names}
print(json.dumps(found))
