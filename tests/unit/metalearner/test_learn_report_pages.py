"""A report is one file that needs nothing else, and what it is told is shown as text."""

import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from metalearner.report_pages import (
    Banner,
    Cell,
    Page,
    Section,
    Table,
    bars,
    drawing,
    drawn,
    grid,
    histogram,
    line_style,
    rendered,
    write_page,
)


@pytest.fixture(scope="module")
def page():
    with drawing() as axes:
        axes.plot([0, 1], [0, 1], **line_style(1))
        line = drawn(axes, "A line")
    confusion = grid([[50, 3], [4, 60]], rows=["no", "yes"], columns=["no", "yes"], words="A grid", across="a", down="b")
    plots = [bars({"A & B": 3}, "Bars"), histogram([1, 2, 2], "A histogram", label="years"), line, confusion]
    table = Table(headings=("name", "figure"), rows=[("<script>", Cell(text="0.9", tone="grey"))])
    sections = [Section(heading=f"Part {n}", tables=[table], plots=plots if n == 0 else ()) for n in range(3)]
    return Page(title="A <b>report</b>", banners=[Banner(text="Look out", tone="bad")], sections=sections)


def test_nothing_is_fetched_and_nothing_runs(page):
    text = rendered(page)
    assert not re.search(r"(?:src|href)=\"(?!data:image/svg|#)", text)
    assert "<script" not in text
    assert "default-src 'none'" in text


def test_what_it_is_told_is_text(page):
    text = rendered(page)
    assert "&lt;script&gt;" in text
    assert "<title>A &lt;b&gt;report&lt;/b&gt;</title>" in text


def test_every_picture_says_what_it_shows_and_tags_are_closed(page):
    class Reader(HTMLParser):
        open_tags: list[str] = []  # noqa: RUF012
        words: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            if tag == "img":
                self.words.append(dict(attrs)["alt"])
            elif tag not in ("meta",):
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            assert self.open_tags.pop() == tag

    reader = Reader()
    reader.feed(rendered(page))
    assert reader.open_tags == []
    assert reader.words == ["Bars", "A histogram", "A line", "A grid"]


def test_the_same_figures_give_the_same_picture():
    assert bars({"a": 1}, "x") == bars({"a": 1}, "x")


def test_a_report_is_replaced_as_a_whole(tmp_path, page):
    write_page(tmp_path / "deep" / "report.html", page)
    write_page(tmp_path / "deep" / "report.html", page)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]
