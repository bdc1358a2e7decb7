"""Pages: complete, self-contained, escaped, linked, deterministic."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import polars as pl
import pytest
from PIL import Image

from spine_models.corpus.shards.tables import SLICES
from spine_models.reporting.reports import ReportTables, draft_reports, key_slices, write_pages
from spine_models.reporting.reports.pages.pictures import edges_of

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
        self.images: list[dict[str, str]] = []
        self.boxes: list[dict[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        if "href" in values:
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        if tag == "rect":
            self.boxes.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

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
    both = pl.concat([claims(105, "b"), claims(14, "a", placed=False)])
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
        assert {anchor for anchor in anchors if anchor[0] == "c"} == {f"c{i}" for i in range(1, 18)}
        assert "Not for clinical use" in page.text


def test_places_models_and_images_are_shown(tmp_path: Path, written) -> None:
    pages(tmp_path, written)
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    claim = written[1].filter(pl.col("study_key") == "b", pl.col("level").is_not_null()).row(0, named=True)
    places = [place for place in claim["places"] if place["level"]]
    keys = [
        *claim["model_versions"],
        *claim["source_instances"],
        *claim["source_series"],
        claim["agent_version"],
    ]
    keys += [place[name] for place in places for name in ("slice_key", "instance_key")]
    for key in (*keys, claim["claim_key"]):
        assert f'title="{key}"' in page
    assert "box 10, 20, 30 × 15 px" in page


def test_nothing_is_loaded_and_nothing_runs(tmp_path: Path, written) -> None:
    pages(tmp_path, written)
    for path in tmp_path.iterdir():
        page = read(path)
        assert not page.tags & {"script", "link", "iframe", "form"}
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


@pytest.fixture
def pictured(archive, claim, filled) -> tuple[ReportTables, pl.DataFrame, pl.DataFrame]:
    """A study with two boxes on one slice, a weak one on another, and a place on a slice that is not there."""
    tables = archive({"study": [("T2", "sagittal", "t2")]})
    lost = {"slice_key": "gone", "instance_key": "gone"}
    claims = filled(
        [
            claim("canal", "present", places=[{"level": "L4-L5"}], probability=0.8),
            claim("herniation", "present", places=[{"level": "L4-L5"}, lost], probability=0.9),
            claim(
                "cyst", "indeterminate", certainty="possible",
                places=[{"supervision": "weak", "slice_key": "study-s0-i3-0000", "instance_key": "study-s0-i3"}],
            ),
        ]
    )  # fmt: skip
    geometry = {"size_px": 100, "scale": 2.0, "pad_left_px": 10.0, "pad_top_px": 0.0}
    slices = tables.slices.with_columns(
        **{name: pl.lit(value, SLICES[name]) for name, value in geometry.items()},
        iop=pl.lit([0.0, 1.0, 0.0, 0.0, 0.0, -1.0], pl.List(pl.Float64)),
    ).cast(dict(SLICES))
    return draft_reports(claims, tables.studies, tables.series), claims, slices


def pixels(keys):
    ramp = np.arange(100 * 100, dtype=np.uint16).reshape(100, 100) * 6
    return [(key, ramp) for key in sorted(keys, reverse=True)]


def shown(pictured, limit: int = 4):
    tables, claims, slices = pictured
    return key_slices(claims, tables.drafts, slices, pixels, limit=limit)


def test_key_slices_are_the_most_important_first(pictured) -> None:
    (own,) = shown(pictured).values()
    assert [one.slice_key for one in own] == ["study-s0-i0-0000", "study-s0-i3-0000"]
    assert [mark.condition for mark in own[0].marks] == ["herniation", "canal"]
    assert [[mark.supervision for mark in one.marks] for one in own] == [
        ["supervised", "supervised"],
        ["weak"],
    ]
    assert own[0].title == "sagittal T2, slice 1"
    assert own[0].edges == ("A", "S")
    assert [one.slice_key for one in shown(pictured, 1)["study"]] == ["study-s0-i0-0000"]
    assert shown(pictured, 0) == {}


def test_boxes_lie_where_the_source_has_them(pictured) -> None:
    (own,) = shown(pictured).values()
    # A source pixel is 2 output pixels, the picture begins 10 output pixels further left: of 100 each.
    assert own[0].marks[0].box == pytest.approx(((10 * 2 + 10) / 100, 20 * 2 / 100, 0.6, 0.3))


def test_pictures_are_the_pixels(pictured) -> None:
    (own,) = shown(pictured).values()
    image = np.asarray(Image.open(io.BytesIO(own[0].png)))
    assert np.array_equal(image, (dict(pixels(["x"]))["x"] >> 8).astype(np.uint8))


def test_a_page_shows_its_key_slices_with_boxes(tmp_path: Path, pictured) -> None:
    tables, claims, _ = pictured
    pictures = shown(pictured)
    write_pages(tables.drafts, tables.sentences, claims, tmp_path, pictures=pictures)
    page = read(tmp_path / "study.html")
    assert [i for i in page.ids if i[0] == "i"] == ["i1", "i2"]
    for image, one in zip(page.images, pictures["study"], strict=True):
        head, _, data = image["src"].partition(",")
        assert head == "data:image/png"
        assert unquote_to_bytes(data) == one.png
        assert not re.search(r"[^%]{3}", data), "letters and digits of a picture may spell a name by chance"
        assert image["alt"]
    assert [box.get("class") for box in page.boxes] == [None, None, "weak"]
    assert (page.boxes[0]["x"], page.boxes[0]["y"]) == ("30.00", "40.00")
    raw = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "Dashed boxes (weak)" in raw
    assert "Dashed boxes (level)" not in raw
    assert re.search(r"</a> \(weak\)", raw)
    assert 'img-src data:"' in raw
    assert {"#i1", "#i2"} <= set(page.links)


def test_slices_without_pixels_are_left_out(pictured) -> None:
    tables, claims, slices = pictured
    assert key_slices(claims, tables.drafts, slices, lambda keys: [], limit=4) == {}


@pytest.mark.parametrize(
    ("iop", "edges"),
    [
        ([1, 0, 0, 0, 1, 0], ("R", "A")),
        ([0, 1, 0, 0, 0, -1], ("A", "S")),
        ([1, 0, 0, 0, 0, -1], ("R", "S")),
        ([-1, 0.1, 0, 0, 1, 0.2], ("L", "A")),
        (None, ("", "")),
    ],
)
def test_letters_of_the_edges(iop, edges) -> None:
    assert edges_of(iop) == edges


def test_removed_sentences_are_told(tmp_path: Path, archive, claims) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]})
    given = claims(105)
    text = "Uterine fibroids & more.\n" + "No fracture of the moon."
    row = {"study_key": "study", "text": text, "stopped": True, "model_version": "llava-1", "reason": None}
    made = draft_reports(given, tables.studies, tables.series, written=pl.DataFrame([row]))
    write_pages(made.drafts, made.sentences, given, tmp_path, removed=made.removed)
    page = read(tmp_path / "study.html")
    assert made.removed.height >= 1
    for row in made.removed.iter_rows(named=True):
        assert row["text"] in page.text
        assert row["reason"] in page.text
