"""Reports as Markdown and CSV: text of whatever origin is text there."""

import csv
import io
import math

import pytest

from gan_lightning.studies.accounts import Table
from gan_lightning.studies.markdown import as_table, csv_text, literal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wgan_gp", r"wgan\_gp"),
        ("a|b", r"a\|b"),
        ("<b>*x*</b>", r"\<b\>\*x\*\</b\>"),
        ("[a](b) ![c](d)", r"\[a\](b) !\[c\](d)"),
        ("# a", r"\# a"),
        ("- a", r"\- a"),
        ("1. a", r"1\. a"),
        ("lr=1e-3, 1.5", "lr=1e-3, 1.5"),
        ("a\nb\x1b", r"a\\nb\\x1b"),
    ],
)
def test_text_is_shown_as_it_is(text, expected):
    assert literal(text) == expected


def test_a_table_in_markdown():
    table = Table(["a|b", "n"], [["x_y", 1.5], ["z", math.nan]], best=0)
    assert as_table(table).splitlines() == [r"| a\|b | n |", "| --- | --- |", r"| **x\_y** | 1.5 |", "| z | - |"]


def test_csv_has_all_digits_and_no_formulas():
    text = csv_text(["a", "=b"], [["=1+1", 0.1], ['x,"y"', None], ["@c", math.inf], ["-", 3.0]])
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "'=b"],
        ["'=1+1", "0.1"],
        ['x,"y"', ""],
        ["'@c", ""],
        ["'-", "3"],
    ]
