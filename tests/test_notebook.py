"""docs/quickstart.ipynb runs from its first cell to its last, and is kept without outputs."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "quickstart.ipynb"
LENGTH, SHORTER = "trainer.max_steps=500", "trainer.max_steps=20"


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(NOTEBOOK.read_text())
    return content


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_it_is_a_notebook_without_outputs(notebook: dict[str, Any]) -> None:
    assert notebook["nbformat"] == 4
    assert isinstance(notebook["nbformat_minor"], int)
    assert notebook["metadata"]["kernelspec"]["language"] == "python"
    assert {cell["cell_type"] for cell in notebook["cells"]} == {"markdown", "code"}
    for cell in notebook["cells"]:
        assert isinstance(cell["metadata"], dict)
        assert source(cell).strip()
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        else:
            assert "outputs" not in cell


@pytest.mark.slow
def test_its_cells_run(
    notebook: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [source(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(text.count(LENGTH) for text in cells) == 1
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, text in enumerate(cells):
        exec(compile(text.replace(LENGTH, SHORTER), f"cell {number}", "exec"), namespace)
    assert (namespace["run"].status, namespace["run"].iteration) == ("finished", 20)
    assert namespace["run"].folder.absolute().is_relative_to(tmp_path)
    assert namespace["images"].shape == (64, 1, 8, 8)
    out = capsys.readouterr().out
    assert "\n20 " in out  # the table of losses
    assert "Did you mean loss?" in out  # the mistake at the end
