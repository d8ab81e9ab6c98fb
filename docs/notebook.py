"""The notebook's outputs.

    python docs/notebook.py

Runs docs/quickstart.ipynb from its first cell to its last, in a folder of its own, and writes what each cell shows into
it, as Jupyter does: what is printed, figures of matplotlib's, and the value at a cell's end as text, HTML or a picture.
What goes to stderr, such as progress, is left out. It takes some minutes.
"""

import ast
import base64
import io
import json
import os
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

NOTEBOOK = Path(__file__).parent / "quickstart.ipynb"


def execute(notebook: dict[str, Any], namespace: dict[str, Any]) -> None:
    """Runs the cells of code in one namespace, and puts their outputs into them. Raises whatever one of them raises."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        printed = io.StringIO()
        with redirect_stdout(printed):
            value = run("".join(cell["source"]), f"cell {number}", namespace)
        outputs: list[dict[str, Any]] = []
        if printed.getvalue():
            outputs.append({"output_type": "stream", "name": "stdout", "text": lines(printed.getvalue())})
        if value is not None:
            data = shown(value)
            outputs.append({"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data})
        for figure in map(plt.figure, plt.get_fignums()):
            outputs.append({"output_type": "display_data", "metadata": {}, "data": drawn(figure)})
        plt.close("all")
        cell["execution_count"], cell["outputs"] = number, outputs


def run(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Runs a cell and returns the value of the expression that it ends with; None of one that ends in a semicolon."""
    tree = ast.parse(source, name)
    last = tree.body[-1] if tree.body and not source.rstrip().endswith(";") else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, name, "exec"), namespace)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), name, "exec"), namespace)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace)


def shown(value: Any) -> dict[str, Any]:
    """A value in the forms that it has for a notebook."""
    data: dict[str, Any] = {"text/plain": lines(repr(value))}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = lines(value._repr_html_())
    if hasattr(value, "_repr_png_"):
        data["image/png"] = base64.b64encode(value._repr_png_()).decode()
    return data


def drawn(figure: Any) -> dict[str, Any]:
    """A figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return {"text/plain": lines(repr(figure)), "image/png": base64.b64encode(buffer.getvalue()).decode()}


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> None:
    plt.switch_backend("agg")
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            execute(notebook, {"__name__": "__main__"})
        finally:
            os.chdir(here)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
