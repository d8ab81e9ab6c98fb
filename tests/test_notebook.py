"""docs/quickstart.ipynb runs from its first cell to its last, and has the outputs that docs/notebook.py gives it."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from docs_scripts import script

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "quickstart.ipynb"
LENGTH, SHORTER = "trainer.max_steps=500", "trainer.max_steps=20"
MEASURED, CHEAPER = '"evaluation.every=100"', '"evaluation.every=20", "extractor=identity", "evaluation.samples=100"'


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(NOTEBOOK.read_text())
    return content


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_it_is_a_notebook_with_its_outputs(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 4)
    assert notebook["metadata"]["kernelspec"]["language"] == "python"
    assert {cell["cell_type"] for cell in notebook["cells"]} == {"markdown", "code"}
    for cell in notebook["cells"]:
        assert isinstance(cell["metadata"], dict)
        assert source(cell).strip()
        assert ("outputs" in cell) == (cell["cell_type"] == "code")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))  # all at once, in their order
    assert all(cell["outputs"] for cell in code)
    shown = [set(output.get("data", {})) for cell in code for output in cell["outputs"]]
    assert shown.count({"text/plain", "image/png"}) == 3  # curves, samples and the comparison
    assert {"text/plain", "text/html"} in shown  # the table of metrics
    assert NOTEBOOK.stat().st_size < 300_000


@pytest.mark.slow
def test_its_cells_run(notebook: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    before = [[list(output) for output in cell.get("outputs", [])] for cell in notebook["cells"]]
    shortened = copy.deepcopy(notebook)
    for cell in shortened["cells"]:
        cell["source"] = [line.replace(LENGTH, SHORTER).replace(MEASURED, CHEAPER) for line in cell["source"]]
    changed = [(one, other) for one, other in zip(notebook["cells"], shortened["cells"], strict=True) if one != other]
    assert len(changed) == 1
    namespace: dict[str, Any] = {"__name__": "__main__"}
    script("notebook").execute(shortened, namespace)
    assert (namespace["run"].status, namespace["run"].iteration) == ("finished", 20)
    assert namespace["run"].folder.absolute().is_relative_to(tmp_path)
    assert namespace["images"].shape == (64, 1, 8, 8)
    assert list(namespace["runs"]) == ["vanilla", "lsgan", "wgan_gp"]
    # What is there has been shown by these very cells.
    assert [[list(output) for output in cell.get("outputs", [])] for cell in shortened["cells"]] == before
    assert "Did you mean loss?" in json.dumps(shortened["cells"][-1]["outputs"])


def test_what_a_cell_shows() -> None:
    cells = [
        "print('a')\n",
        "x = 2\nx + 1",
        "x;",
        "import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1));",
        "Page()",
    ]
    notebook = {"cells": [{"cell_type": "code", "source": [cell], "outputs": ["old"]} for cell in cells]}
    page = type("Page", (), {"__repr__": lambda self: "page", "_repr_html_": lambda self: "<b>page</b>"})
    plt.switch_backend("agg")
    script("notebook").execute(notebook, {"Page": page})
    printed, valued, silent, drawn, html = (cell["outputs"] for cell in notebook["cells"])
    assert printed == [{"output_type": "stream", "name": "stdout", "text": ["a\n"]}]
    assert valued == [
        {"output_type": "execute_result", "execution_count": 2, "metadata": {}, "data": {"text/plain": ["3"]}}
    ]
    assert silent == []
    assert base64.b64decode(drawn[0]["data"]["image/png"]).startswith(b"\x89PNG")
    assert html[0]["data"] == {"text/plain": ["page"], "text/html": ["<b>page</b>"]}
