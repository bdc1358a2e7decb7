"""A drafted report as a document: JSON by a published schema, and Markdown.

Belongs here: the rows of one study as a document. Does not belong here: plain text (``text``), HTML (``pages``).

``report.schema.json`` describes the JSON; its ``schema`` field holds name and version. A field is only ever added
within a version; what is renamed, removed or means something else raises it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.domain import Region, conditions
from spine_models.reporting.reports.drafting import ReportTables
from spine_models.reporting.reports.graph import IMPRESSION, NOTICE
from spine_models.reporting.reports.phrasing import level_words, percent
from spine_models.reporting.reports.template import load_template

SCHEMA: Final = "spineagent.report/1"
_FILE: Final = Path(__file__).parent / "report.schema.json"

Document = dict[str, Any]


@lru_cache(maxsize=1)
def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report document."""
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


def report_documents(tables: ReportTables, claims: pl.DataFrame) -> list[Document]:
    """One document per draft, by ``report_schema``; sorted by study_key.

    Args:
        tables: of ``draft_reports``.
        claims: ``agents.CLAIMS`` that they rest on.
    """
    places = {key: rows.drop("batch_key", "study_key", "sentence_key") for (key,), rows in
              tables.provenance.partition_by("sentence_key", as_dict=True).items()}  # fmt: skip
    documents = []
    for draft in tables.drafts.sort("study_key").iter_rows(named=True):
        key = draft["study_key"]
        sentences = tables.sentences.filter(study_key=key).sort("position")
        own = claims.filter(study_key=key).sort("condition", "claim_key")
        removed = tables.removed.filter(study_key=key).sort("position")
        documents.append(
            {
                "schema": SCHEMA,
                "notice": load_template(Region(draft["region"])).language.notice,
                "study": {
                    "study_key": key,
                    "patient_key": draft["patient_key"],
                    "region": draft["region"],
                    "title": load_template(Region(draft["region"])).language.titles[draft["region"]],
                    "prior_study_key": draft["prior_study_key"],
                },
                "draft": {
                    name: draft[name]
                    for name in ("draft_key", "writer", "reason", "template_version", "agent_version")
                },
                "sections": _sections(sentences, places),
                "claims": [_claim(row) for row in own.iter_rows(named=True)],
                "removed": removed.select("text", "reason", "condition", "section").to_dicts(),
                "text": draft["report_text"],
            }
        )
    return documents


def printed(tables: ReportTables, claims: pl.DataFrame, form: str) -> str:
    """All drafts as they are printed: texts or Markdown one after the other, or one JSON array."""
    if form == "text":
        return "\n".join(tables.drafts.sort("study_key")["report_text"])
    documents = report_documents(tables, claims)
    return as_json(documents) if form == "json" else "\n---\n\n".join(map(as_markdown, documents))


def as_json(documents: list[Document]) -> str:
    """The documents as one JSON array; the same documents give the same bytes."""
    return json.dumps(documents, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def as_markdown(document: Document) -> str:
    """One document as Markdown: notice, sections, and a table of the claims behind them."""
    head = [
        f"> **{document['notice']}**",
        f"# {document['study']['title']}",
        f"Study `{document['study']['study_key']}`",
    ]
    for section in document["sections"]:
        if section["title"] == NOTICE:
            continue
        texts = [sentence["text"] for sentence in section["sentences"]]
        flowing = [s["text"] for s in section["sentences"] if s["level"] is None]
        lines = [f"- {s['text']}" for s in section["sentences"] if s["level"] is not None]
        body = [f"{i}. {text}" for i, text in enumerate(texts, start=1)]
        if section["title"] != IMPRESSION:
            body = [" ".join(flowing)] * bool(flowing) + [""] * bool(flowing and lines) + lines
        head.append("\n".join([f"## {section['title']}", "", *body]))
    rows = ["| Condition | Status | Where | Probability | Agent |", "|---|---|---|---|---|"]
    names = {condition.key: condition.name for condition in conditions()}
    for claim in document["claims"]:
        told = [_where(place) for place in claim["places"]]
        where = "; ".join(dict.fromkeys(word for word in told if word))
        chance = "" if claim["probability"] is None else percent(claim["probability"])
        doubtful = claim["certainty"] in ("probable", "possible")
        status = claim["certainty"] if doubtful else claim["status"].replace("_", " ")
        row = (names[claim["condition"]], status, where or claim["reason"] or "", chance, claim["agent"])
        rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |")
    head.append("\n".join(["## Claims behind the report", "", *rows]))
    return "\n\n".join(head) + "\n"


def _sections(sentences: pl.DataFrame, places: dict[Any, pl.DataFrame]) -> list[Document]:
    sections: dict[str, list[Document]] = {}
    for row in sentences.iter_rows(named=True):
        rests = places.get(row["sentence_key"])
        sections.setdefault(row["section"], []).append(
            {name: row[name] for name in ("sentence_key", "text", "kind", "linked_by", "level")}
            | {"claims": row["claim_keys"], "prior_claims": row["prior_claim_keys"]}
            | {"provenance": [] if rests is None else rests.to_dicts()}
        )
    return [{"title": title, "sentences": members} for title, members in sections.items()]


def _claim(row: dict[str, Any]) -> Document:
    names = (
        "claim_key", "agent", "agent_version", "condition", "status", "affirmed", "certainty", "reason",
        "probability", "confidence", "level", "side", "severity", "sequence_set", "model_versions",
        "source_series", "source_instances",
    )  # fmt: skip
    return {name: row[name] for name in names} | {"places": [dict(place) for place in row["places"] or ()]}


def _where(place: dict[str, Any]) -> str:
    level = level_words(place["level"]) if place["level"] else None
    return " ".join(word for word in (level, place["side"], place["severity"]) if word)
