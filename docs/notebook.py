"""Execute docs/notebook.ipynb and store its outputs: run it after a change of the notebook or of what it shows.

The cells run in a folder with the recipes and the sample. What they write to standard error, such as progress, is not
stored, and neither is anything else that differs between two executions.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs/notebook.ipynb"


def execute_notebook(folder: Path) -> str:
    """The notebook as JSON with the outputs of its cells, executed in a folder with `recipes/` and `sample/`.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell failed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    settings = folder / ".jupyter"  # not those of whoever runs this
    places = {name: str(settings) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {**os.environ, **places, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return nbformat.writes(notebook) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("recipes", "sample"):
            shutil.copytree(ROOT / name, Path(folder) / name)
        content = execute_notebook(Path(folder))
    NOTEBOOK.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
