"""The elements of a report's page: nothing out of a file is HTML there, and nothing is loaded."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image
from planted import plant

from gan_lightning.studies import grids, page
from gan_lightning.studies.grids import WIDEST, embedded, last_grid

HOSTILE = '<img src=x onerror=alert(1)>"&\x1b'


class Reader(HTMLParser):
    """The tags of a page with their attributes, and that every one that is opened is closed."""

    VOID = ("meta", "br", "img", "circle", "line", "polyline", "polygon")

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.tags


def test_names_out_of_files_are_text_everywhere():
    blocks = {HOSTILE: "<p>a</p>", "b": "<p>b</p>"}
    body = (
        page.table([HOSTILE, "n"], [[page.words(HOSTILE), page.number(1.5)]], best=0)
        + page.chosen(HOSTILE, HOSTILE, blocks)
        + page.folded(HOSTILE, page.listed([HOSTILE]))
        + page.legend([(HOSTILE, 1)])
    )
    tags = read(page.document(HOSTILE, body, 5.0))
    assert "img" not in {tag for tag, _ in tags}
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in tags


def test_nothing_is_loaded():
    document = page.document("a", "b")
    assert not re.search(r"(src|href)=|@import|url\(|https?:", document)
    assert "default-src 'none'" in document
    assert "refresh" not in document


def test_numbers_are_sorted_by_their_values_and_what_has_none_by_nothing():
    html = page.table(["a"], [[page.number(12345.678)], [page.number(None)]])
    assert re.findall(r'data-key="(.*?)">(.*?)<', html) == [("12345.678", "12,345.7"), ("", "-")]


def test_a_selector_of_one_block_is_none():
    assert page.chosen("a", "b", {"only": "<p>x</p>"}) == "<p>x</p>"


@pytest.mark.parametrize(("mode", "colour"), [("L", 200), ("RGB", (200, 10, 10)), ("RGBA", (0, 0, 0, 0)), ("P", 1)])
def test_a_picture_is_drawn_anew_and_small(tmp_path, mode, colour):
    Image.new(mode, (3000, 1000), colour).save(tmp_path / "a.png")
    uri = embedded(tmp_path / "a.png")
    assert re.match(r"data:image/(png|jpeg);base64,", uri)
    assert len(uri) < 20_000
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        assert max(picture.size) == WIDEST


def test_what_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(grids, "MOST_PIXELS", 100)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n<script>")
    Image.new("L", (4, 4)).save(tmp_path / "gif.png", "GIF")
    Image.new("1", (11, 10)).save(tmp_path / "huge.png")
    Image.new("1", (10, 10)).save(tmp_path / "fine.png")
    assert embedded(tmp_path / "fine.png")
    for name in ("a.png", "gif.png", "huge.png", "none.png"):
        assert embedded(tmp_path / name) is None


def test_the_newest_picture(tmp_path):
    run = plant(tmp_path / "a", 1, {"w2": [1.0]})
    for name in ("00000002.png", "note.png", "00000900.png"):
        (run / "samples" / name).write_bytes(b"")
    assert last_grid(run).name == "00000900.png"
    assert last_grid(tmp_path) is None
