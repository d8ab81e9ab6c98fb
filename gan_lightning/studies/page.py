"""HTML of a report: one file that loads nothing, with its style, its script and its pictures inside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from gan_lightning.studies.figures import shown, text

HERE = Path(__file__).parent
# Nothing is loaded from anywhere, whatever a file that is shown here may hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Cell:
    """A table's cell: its HTML, what it is sorted by, and how it looks."""

    html: str
    key: str = ""
    kind: str = ""


def words(content: object, kind: str = "") -> Cell:
    """A cell of text."""
    return Cell(text(content), "", kind)


def number(value: float | None) -> Cell:
    """A cell with a number, which it is sorted by."""
    return Cell(text(shown(value)), f"{value:.10g}" if value is not None and isfinite(value) else "", "number")


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], best: int | None = None) -> str:
    """A table that scrolls in a box of its own and is sorted by a click; `best` is the number of a row to mark."""
    head = "".join(f'<th scope="col"><button type="button">{text(each)}</button></th>' for each in heads)
    body = []
    for place, row in enumerate(rows):
        cells = "".join(_cell(each) for each in row)
        body.append(f'<tr class="best">{cells}</tr>' if place == best else f"<tr>{cells}</tr>")
    shell = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{shell}</div>'


def _cell(cell: Cell) -> str:
    kind = f' class="{cell.kind}"' if cell.kind else ""
    key = f' data-key="{text(cell.key)}"' if cell.key or cell.kind == "number" else ""
    return f"<td{kind}{key}>{cell.html}</td>"


def chosen(name: str, label: str, blocks: Mapping[str, str]) -> str:
    """Blocks of which a selector shows one, and no selector where there is no choice; `name` is the selector's own."""
    return f"{selector(name, label, list(blocks))}{optional(name, blocks)}"


def selector(name: str, label: str, options: Sequence[str]) -> str:
    """The selector of `optional` blocks, which the script shows."""
    if len(options) < 2:
        return ""
    listed = "".join(f'<option value="{text(each)}">{text(each)}</option>' for each in options)
    return f'<label class="no-print" hidden>{text(label)} <select name="{text(name)}">{listed}</select></label>'


def optional(name: str, blocks: Mapping[str, str]) -> str:
    """Blocks of which the selector of that name shows one."""
    if len(blocks) < 2:
        return "".join(blocks.values())
    return "".join(
        f'<div data-in="{text(name)}" data-option="{text(option)}">{block}</div>' for option, block in blocks.items()
    )


def folded(title: str, content: str) -> str:
    """What is read on demand."""
    return f"<details><summary>{text(title)}</summary>{content}</details>" if content else ""


def listed(sentences: Sequence[str]) -> str:
    """Sentences as a list."""
    return f"<ul>{''.join(f'<li>{text(each)}</li>' for each in sentences)}</ul>" if sentences else ""


def legend(names: Sequence[tuple[str, int]]) -> str:
    """The colours of a chart's lines by their names."""
    items = "".join(f'<li style="--c:var(--c{colour})">{text(name)}</li>' for name, colour in names)
    return f'<ul class="legend">{items}</ul>'


def document(title: str, body: str, renewed: float | None = None) -> str:
    """The whole page; `renewed` are the seconds after which a browser loads it again."""
    refresh = f'<meta http-equiv="refresh" content="{renewed:g}">' if renewed else ""
    style, script = (HERE.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">{refresh}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head>\n<body>{body}\n<script>{script}</script></body></html>\n"
    )
