"""Drafted reports as pages: one HTML file a study, and an index.

Belongs here: the arrangement of a report, its claims and their sources on a page. Does not belong here:
report wording (``phrasing``) or raw markup pieces (``markup``).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.domain import Region, conditions
from spine_models.reporting.agents.evidence import ROUTES_OF_SET
from spine_models.reporting.reports.graph import IMPRESSION, NOTICE, Kind
from spine_models.reporting.reports.markup import (
    STATUS_WORDS,
    escaped,
    page,
    probability_bar,
    short,
    status_mark,
)
from spine_models.reporting.reports.phrasing import percent, place_of
from spine_models.reporting.reports.template import Language, load_template

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Row = dict[str, Any]


def write_pages(drafts: pl.DataFrame, sentences: pl.DataFrame, claims: pl.DataFrame, out: Path) -> int:
    """Write ``<study_key>.html`` for every draft and ``index.html`` into ``out``; returns the study pages.

    Args:
        drafts: ``DRAFTS``.
        sentences: ``SENTENCES`` of these drafts.
        claims: ``agents.CLAIMS`` that the sentences point to.
        out: Folder, made if needed. Same tables, same bytes.

    Raises:
        ValueError: a study_key that is no plain name, or a sentence that points to a claim not given.
    """
    out.mkdir(parents=True, exist_ok=True)
    sentences_of = _grouped(sentences.sort("study_key", "position"))
    claims_of = _grouped(claims.sort("study_key", "claim_key"))
    entries = []
    for draft in drafts.sort("study_key").iter_rows(named=True):
        study_key = draft["study_key"]
        if not _FILE_NAME.fullmatch(study_key):
            raise ValueError("a study_key is no pseudonym: run deid of its batch again")
        said, own = sentences_of.get(study_key, []), claims_of.get(study_key, [])
        (out / f"{study_key}.html").write_text(_study_page(draft, said, own), encoding="utf-8")
        entries.append((draft, own))
    (out / "index.html").write_text(_index_page(entries), encoding="utf-8")
    return len(entries)


def _grouped(frame: pl.DataFrame) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in frame.iter_rows(named=True):
        groups.setdefault(row["study_key"], []).append(row)
    return groups


def _language(region: str) -> Language:
    return load_template(Region(region)).language


def _study_page(draft: Row, sentences: list[Row], claims: list[Row]) -> str:
    language = _language(draft["region"])
    title = language.titles[draft["region"]]
    ranked = _ranked(claims)
    number = {claim["claim_key"]: i for i, claim in enumerate(ranked, start=1)}
    lost = sorted({key for s in sentences for key in s["claim_keys"]} - set(number))
    if lost:
        raise ValueError(
            f"sentences of study {draft['study_key']} point to {len(lost)} claims that were not given:"
            " draft the report again from the same claims"
        )
    notice = " ".join(s["text"] for s in sentences if s["section"] == NOTICE) or language.notice
    by_number = {i: claim for claim, i in zip(ranked, number.values(), strict=True)}
    body = f"""<header>
<p class="crumb"><a href="index.html">All drafts</a></p>
<h1>{escaped(title)}</h1>
{_counts(claims)}
<dl class="facts">
<div><dt>Study</dt><dd>{short(draft["study_key"], 12)}</dd></div>
<div><dt>Patient</dt><dd>{short(draft["patient_key"], 12)}</dd></div>
<div><dt>Batch</dt><dd>{escaped(draft["batch_key"])}</dd></div>
<div><dt>Template</dt><dd>{escaped(draft["template_version"])}</dd></div>
<div><dt>Draft</dt><dd>{short(draft["draft_key"], 12)}</dd></div>
</dl>
</header>
<main class="study">
<article aria-label="Drafted report">
{_report(sentences, number, by_number)}
</article>
<section class="claims" aria-labelledby="claims-title">
<h2 id="claims-title">Claims behind the report</h2>
<p class="hint">Point at a sentence to light up its claims; open a claim for its models and images.</p>
{_claims_table(ranked, number)}
</section>
</main>"""
    return page(f"Draft: {title}", notice, body, _highlights(sentences, number))


def _ranked(claims: list[Row]) -> list[Row]:
    """Claims by status, then probability, then the order of ``conditions.yaml``."""
    status = {name: i for i, name in enumerate(STATUS_WORDS)}
    order = {condition.key: i for i, condition in enumerate(conditions())}
    return sorted(
        claims,
        key=lambda c: (
            status[c["status"]],
            -(c["probability"] or 0.0),
            order[c["condition"]],
            c["claim_key"],
        ),
    )


def _report(sentences: list[Row], number: dict[str, int], by_number: dict[int, Row]) -> str:
    sections: dict[str, list[Row]] = {}
    for sentence in sentences:
        if sentence["section"] != NOTICE:
            sections.setdefault(sentence["section"], []).append(sentence)
    parts = []
    for title, members in sections.items():
        tag = "ol" if title == IMPRESSION else "ul"
        items = "\n".join(f"<li>{_sentence(s, number, by_number)}</li>" for s in members)
        emphasis = ' class="impression"' if title == IMPRESSION else ""
        parts.append(
            f"<section{emphasis}>\n<h2>{escaped(title)}</h2>\n<{tag}>\n{items}\n</{tag}>\n</section>"
        )
    return "\n".join(parts)


def _sentence(sentence: Row, number: dict[str, int], by_number: dict[int, Row]) -> str:
    numbers = sorted(number[key] for key in sentence["claim_keys"])
    positive = any(by_number[i]["status"] == "present" for i in numbers)
    emphasis = " is-present" if positive and sentence["kind"] == Kind.FINDING else ""
    mark = f'id="s{sentence["position"]}" class="k-{escaped(sentence["kind"])}{emphasis}"'
    if not numbers:
        return f"<p {mark}>{escaped(sentence['text'])}</p>"
    links = "\n".join(f"<li>{_claim_line(by_number[i], i)}</li>" for i in numbers)
    label = f"{len(numbers)} claim{'s' if len(numbers) > 1 else ''}"
    return (
        f'<details {mark}><summary>{escaped(sentence["text"])} <span class="refs">{label}</span></summary>'
        f"<ul>\n{links}\n</ul></details>"
    )


def _claim_line(claim: Row, i: int) -> str:
    figure = f" {percent(claim['probability'])}" if claim["probability"] is not None else ""
    rest = escaped(claim["reason"]) if claim["reason"] else _extent(claim)
    return f'<a href="#c{i}">{escaped(claim["agent"])}</a> {status_mark(claim["status"])}{figure} · {rest}'


def _claims_table(claims: list[Row], number: dict[str, int]) -> str:
    names = {condition.key: condition.name for condition in conditions()}
    groups = []
    for claim in claims:
        place = place_of(claim["level"], claim["side"], claim["severity"])
        where = f' <span class="place">{escaped(place)}</span>' if place else ""
        probability = claim["probability"]
        bar = probability_bar(probability, percent(probability)) if probability is not None else "–"
        groups.append(
            f'<tbody id="c{number[claim["claim_key"]]}">\n'
            f'<tr><th scope="row">{escaped(names[claim["condition"]])}{where}</th>'
            f'<td>{status_mark(claim["status"])}</td><td class="probability">{bar}</td></tr>\n'
            f'<tr class="source"><td colspan="3">{_source(claim)}</td></tr>\n</tbody>'
        )
    return (
        '<div class="scroll"><table>\n<thead><tr><th scope="col">Condition</th><th scope="col">Status</th>'
        '<th scope="col">Probability</th></tr></thead>\n' + "\n".join(groups) + "\n</table></div>"
    )


def _source(claim: Row) -> str:
    """Agent, model versions and images of a claim, folded; or why there are none."""
    agent = f"<code>{escaped(claim['agent'])}</code>"
    if claim["probability"] is None:
        return f"{agent} · {escaped(claim['reason'] or 'no reason given')}"
    models = " ".join(short(version) for version in claim["model_versions"])
    routes = ROUTES_OF_SET.get(claim["sequence_set"], ())
    lists = [
        ("Agent version", [claim["agent_version"]], 24),
        ("Encoder models", claim["model_versions"], 16),
        ("Routes", [str(route) for route in routes], 4),
        ("Series", claim["source_series"], 12),
        ("Images", claim["source_instances"], 12),
        ("Claim", [claim["claim_key"]], 12),
    ]
    terms = "".join(
        f"<dt>{name}</dt><dd>{' '.join(short(key, length) for key in keys)}</dd>"
        for name, keys, length in lists
        if keys
    )
    summary = f"{agent} · models {models} · {_extent(claim)}"
    return f"<details><summary>{summary}</summary><dl>{terms}</dl></details>"


def _highlights(sentences: list[Row], number: dict[str, int]) -> str:
    """Rules that light up the claims of the sentence under the pointer or in focus, without a script."""
    rules = []
    for sentence in sentences:
        if sentence["claim_keys"] and sentence["section"] != NOTICE:
            rows = ",".join(f"#c{number[key]}" for key in sentence["claim_keys"])
            pointed = f"#s{sentence['position']}>summary:is(:hover,:focus-visible)"
            rules.append(f"main:has({pointed}) :is({rows}){{background:var(--lit)}}")
    return "\n".join(rules) + "\n" if rules else ""


def _counts(claims: list[Row]) -> str:
    found = Counter(claim["status"] for claim in claims)
    marks = "".join(f"<li>{found[s]} {status_mark(s)}</li>" for s in STATUS_WORDS if found[s])
    return f'<ul class="counts" aria-label="Claims by status">{marks}</ul>' if marks else ""


def _extent(claim: Row) -> str:
    images = len(claim["source_instances"])
    return f"{len(claim['source_series'])} series, {images} image{'' if images == 1 else 's'}"


def _index_page(entries: list[tuple[Row, list[Row]]]) -> str:
    language = _language(Region.UNKNOWN)
    rows = []
    for draft, claims in entries:
        found = Counter(claim["status"] for claim in claims)
        template = load_template(Region(draft["region"]))
        present = [c for c in _ranked(claims) if c["status"] == "present"]
        present.sort(key=lambda c: template.tier(c["condition"]))
        named = ", ".join(template.findings[c["condition"]] for c in present)
        figures = "".join(
            f'<td class="count{"" if found[s] else " zero"}">{found[s]}</td>' for s in STATUS_WORDS
        )
        rows.append(
            f'<tr><th scope="row"><a href="{escaped(draft["study_key"])}.html">'
            f'{escaped(draft["study_key"][:12])}</a></th><td class="batch">{escaped(draft["batch_key"])}</td>'
            f"<td>{escaped(draft['region'])}</td>{figures}<td>{escaped(named) or '–'}</td></tr>"
        )
    heads = "".join(f'<th scope="col" class="count">{status_mark(s)}</th>' for s in STATUS_WORDS)
    total = f"{len(entries)} {'study' if len(entries) == 1 else 'studies'}"
    body = f"""<header>
<h1>Drafted reports</h1>
<p class="hint">{total}. Each row opens a draft with the claims that every sentence rests on.</p>
</header>
<main>
<div class="scroll"><table class="index">
<thead><tr><th scope="col">Study</th><th scope="col">Batch</th><th scope="col">Region</th>{heads}
<th scope="col">Reported as present</th></tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table></div>
</main>"""
    return page("Drafted reports", language.notice, body)
