"""Pages: complete, self-contained, escaped, linked, deterministic."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from spine_models.reporting.reports import ReportTables, draft_reports, write_pages

VOID = {"meta", "link", "br", "img"}
HOSTILE = "<script>alert('x')</script> & \"quoted\""


class Reader(HTMLParser):
    """Checks nesting; collects ids, links, tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        if "href" in values:
            self.links.append(values["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    return reader


@pytest.fixture
def written(archive, claims) -> tuple[ReportTables, pl.DataFrame]:
    tables = archive({"b": [("T2", "sagittal", "t2")], "a": [("T1", "axial", "t1")]})
    both = pl.concat([claims(5, "b", placed=True), claims(14, "a")])
    return draft_reports(both, tables.studies, tables.series), both


def pages(out: Path, written: tuple[ReportTables, pl.DataFrame]) -> int:
    tables, claims = written
    return write_pages(tables.drafts, tables.sentences, claims, out)


def test_one_page_a_study_and_an_index(tmp_path: Path, written) -> None:
    assert pages(tmp_path / "new" / "folder", written) == 2
    folder = tmp_path / "new" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == ["a.html", "b.html", "index.html"]
    index = read(folder / "index.html")
    assert {link for link in index.links if link.endswith(".html")} == {"a.html", "b.html"}


def test_every_sentence_and_claim_is_on_the_page(tmp_path: Path, written) -> None:
    pages(tmp_path, written)
    tables, claims = written
    for study in ("a", "b"):
        page = read(tmp_path / f"{study}.html")
        for text in tables.sentences.filter(study_key=study)["text"]:
            assert text in page.text
        for row in claims.filter(study_key=study).iter_rows(named=True):
            assert row["agent"] in page.text
        assert len([i for i in page.ids if i.startswith("c") and i[1:].isdigit()]) == 17
        anchors = {link[1:] for link in page.links if link.startswith("#")}
        assert anchors <= set(page.ids)
        assert len(anchors) == 17
        assert "Not for clinical use" in page.text


def test_places_models_and_images_are_shown(tmp_path: Path, written) -> None:
    pages(tmp_path, written)
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    claim = written[1].filter(pl.col("study_key") == "b", pl.col("level").is_not_null()).row(0, named=True)
    assert claim["level"] in page
    for key in (*claim["model_versions"], *claim["source_instances"], *claim["source_series"]):
        assert f'title="{key}"' in page


def test_nothing_is_loaded_and_nothing_runs(tmp_path: Path, written) -> None:
    pages(tmp_path, written)
    for path in tmp_path.iterdir():
        page = read(path)
        assert not page.tags & {"script", "link", "img", "iframe", "form"}
        assert not re.search(r"https?://|url\(|@import", path.read_text(encoding="utf-8"))


def test_everything_is_escaped(tmp_path: Path, written) -> None:
    tables, claims = written
    text = pl.lit(HOSTILE)
    drafts = tables.drafts.with_columns(
        batch_key=text, patient_key=text, template_version=text, draft_key=text
    )
    sentences = tables.sentences.with_columns(text=text, section=pl.col("section") + HOSTILE)
    hostile = claims.with_columns(
        agent=text,
        agent_version=text,
        level=text,
        reason=text,
        model_versions=pl.concat_list(text),
        source_series=pl.concat_list(text),
        source_instances=pl.concat_list(text),
    )
    write_pages(drafts, sentences, hostile, tmp_path)
    for path in tmp_path.iterdir():
        page = read(path)
        assert "script" not in page.tags
        raw = path.read_text(encoding="utf-8")
        assert "<script" not in raw
        assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;quoted&quot;" in raw


def test_same_tables_same_bytes(tmp_path: Path, written) -> None:
    tables, claims = written
    pages(tmp_path / "one", written)
    write_pages(tables.drafts.reverse(), tables.sentences.reverse(), claims.reverse(), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_study_key_that_is_a_path_is_refused(tmp_path: Path, written) -> None:
    tables, claims = written
    with pytest.raises(ValueError, match="no pseudonym"):
        write_pages(
            tables.drafts.with_columns(study_key=pl.lit("../a")), tables.sentences, claims, tmp_path / "out"
        )
    assert not (tmp_path / "a.html").exists()


def test_sentences_of_other_claims_are_refused(tmp_path: Path, written) -> None:
    tables, claims = written
    with pytest.raises(ValueError, match="claims that were not given"):
        write_pages(tables.drafts, tables.sentences, claims.head(3), tmp_path)


def test_no_drafts_still_give_an_index(tmp_path: Path, written) -> None:
    tables, claims = written
    assert write_pages(tables.drafts.clear(), tables.sentences.clear(), claims.clear(), tmp_path) == 0
    assert "0 studies" in read(tmp_path / "index.html").text
