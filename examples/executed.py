"""Make the executed notebook `monday.ipynb` out of `monday.py`: needs jupytext, nbclient, ipykernel and pandas.

What a run leaves behind that differs from run to run (times, versions, names of cells) is not kept.
"""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def main() -> None:
    """Run the notebook, and write it with what it showed."""
    notebook = jupytext.read(HERE / "monday.py")
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    nbformat.validate(notebook)
    (HERE / "monday.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
