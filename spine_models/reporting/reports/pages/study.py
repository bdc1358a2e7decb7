"""The page of one study: its report, key slices with boxes, and the claims behind every sentence.

Belongs here: the arrangement of a report on a page. Does not belong here: report wording (``phrasing``), raw markup
pieces (``markup``), pixels (``pictures``), the parts on claims (``sources``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from spine_models.domain import Region, conditions
from spine_models.reporting.reports.graph import IMPRESSION, LIMITATIONS, NOTICE, Kind
from spine_models.reporting.reports.pages.markup import escaped, page, short
from spine_models.reporting.reports.pages.pictures import KeySlice, shown_marks
from spine_models.reporting.reports.pages.sources import claim_entry, claims_table
from spine_models.reporting.reports.template import load_template

Row = dict[str, Any]

TAUGHT: Final = "supervised"
DASHED: Final = {
    "level": "Dashed boxes (level) show the level that looks affected, not how far a finding reaches.",
    "weak": "Dashed boxes (weak) are where the head of the whole study looked: no annotation taught them.",
}
"""What is said of boxes by their supervision."""
_RANK = ("present", "indeterminate", "absent", "not_assessed")


def study_page(
    draft: Row, sentences: list[Row], claims: list[Row], removed: list[Row], pictures: Sequence[KeySlice]
) -> str:
    """The whole document.

    Raises:
        ValueError: a sentence that points to a claim not given.
    """
    language = load_template(Region(draft["region"])).language
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
    facts = [("Study", short(draft["study_key"], 12)), ("Patient", short(draft["patient_key"], 12))]
    if draft["prior_study_key"]:
        facts.append(("Compared with", short(draft["prior_study_key"], 12)))
    facts += [
        ("Draft", short(draft["draft_key"], 12)),
        ("Written by", _writer(draft)),
        ("Template", escaped(draft["template_version"])),
        ("Batch", escaped(draft["batch_key"])),
    ]
    listed = "\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    body = f"""<header>
<p class="crumb"><a href="index.html">All drafts</a></p>
<h1>{escaped(title)}</h1>
<dl class="facts">
{listed}
</dl>
</header>
<main class="study">
<article aria-label="Drafted report">
{_report(sentences, ranked, number, pictures)}
{_removed(removed)}
</article>
<div class="beside">
{_key_slices(pictures, ranked, number)}
<section class="claims" aria-labelledby="claims-title">
<h2 id="claims-title">Claims behind the report</h2>
<p class="hint">Point at a sentence to light up its claims and slices; open it for where they come from.</p>
{claims_table(ranked, number)}
</section>
</div>
</main>"""
    return page(f"Draft: {title}", notice, body, _highlights(sentences, number, pictures))


def _writer(draft: Row) -> str:
    if draft["writer"] != "templates":
        return f"report model {short(draft['writer'])}, linked to claims"
    reason = f" ({escaped(draft['reason'])})" if draft["reason"] else ""
    return f"templates{reason}"


def _ranked(claims: list[Row]) -> list[Row]:
    """Affirmed claims first, then by status, probability and the order of ``conditions.yaml``."""
    order = {condition.key: i for i, condition in enumerate(conditions())}
    return sorted(
        claims,
        key=lambda c: (
            not c["affirmed"],
            _RANK.index(c["status"]),
            -(c["probability"] or 0.0),
            order[c["condition"]],
            c["claim_key"],
        ),
    )


def _report(
    sentences: list[Row], ranked: list[Row], number: dict[str, int], pictures: Sequence[KeySlice]
) -> str:
    slices: dict[str, list[int]] = {}
    for figure, key in shown_marks(pictures):
        slices.setdefault(key, []).append(figure)
    sections: dict[str, list[Row]] = {}
    for sentence in sentences:
        if sentence["section"] != NOTICE:
            sections.setdefault(sentence["section"], []).append(sentence)
    parts = []
    for title, members in sections.items():
        tag = "ol" if title == IMPRESSION else "ul"
        items = "\n".join(f"<li>{_sentence(s, ranked, number, slices)}</li>" for s in members)
        emphasis = {IMPRESSION: ' class="impression"', LIMITATIONS: ' class="limits"'}.get(title, "")
        parts.append(
            f"<section{emphasis}>\n<h2>{escaped(title)}</h2>\n<{tag}>\n{items}\n</{tag}>\n</section>"
        )
    return "\n".join(parts)


def _sentence(sentence: Row, ranked: list[Row], number: dict[str, int], slices: dict[str, list[int]]) -> str:
    numbers = sorted(number[key] for key in sentence["claim_keys"])
    emphasis = " is-found" if sentence["kind"] == Kind.FINDING else ""
    silent = " is-silent" if sentence["level"] and not emphasis else ""
    mark = f'id="s{sentence["position"]}" class="k-{escaped(sentence["kind"])}{emphasis}{silent}"'
    text = escaped(sentence["text"])
    if sentence["level"] and ": " in sentence["text"]:
        level, _, rest = sentence["text"].partition(": ")
        text = f'<span class="level">{escaped(level)}:</span> {escaped(rest)}'
    if not numbers:
        return f"<p {mark}>{text}</p>"
    places = set(sentence["evidence"])
    entries = "\n".join(
        f"<li>{claim_entry(ranked[i - 1], i, places, slices.get(ranked[i - 1]['claim_key'], []))}</li>"
        for i in numbers
    )
    label = f"{len(numbers)} claim{'s' if len(numbers) > 1 else ''}"
    origin = {"matched": "written by the model", "added": "added by the template"}.get(sentence["linked_by"])
    told = f'<p class="origin">This sentence was {origin}.</p>\n' if origin else ""
    return (
        f'<details {mark}><summary>{text} <span class="refs">{label}</span></summary>\n'
        f"{told}<ul>\n{entries}\n</ul></details>"
    )


def _key_slices(pictures: Sequence[KeySlice], ranked: list[Row], number: dict[str, int]) -> str:
    if not pictures:
        return ""
    template = load_template(Region.UNKNOWN)
    figures = []
    for i, shown in enumerate(pictures, start=1):
        boxes, names = [], []
        for mark in shown.marks:
            left, top, width, height = (f"{100 * share:.2f}" for share in mark.box)
            taught = mark.supervision == TAUGHT
            weak = "" if taught else ' class="weak"'
            boxes.append(f'<rect{weak} x="{left}" y="{top}" width="{width}" height="{height}"/>')
            link = f'<a href="#c{number[mark.claim_key]}">{escaped(template.findings[mark.condition])}</a>'
            names.append(link if taught else f"{link} ({escaped(mark.supervision)})")
        letters = "".join(
            f'<span class="edge {side}">{letter}</span>'
            for side, letter in zip(("at-left", "at-top"), shown.edges, strict=True)
            if letter
        )
        found = ", ".join(template.findings[mark.condition] for mark in shown.marks)
        figures.append(
            f'<figure id="i{i}"><div class="frame"><img src="{shown.data_url}" '
            f'alt="{escaped(f"{shown.title}, boxes: {found}")}">'
            f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{"".join(boxes)}</svg>'
            f"{letters}</div><figcaption><b>{i}</b> {escaped(shown.title)}<br>{'; '.join(names)}<br>"
            f"{short(shown.slice_key, 12)}</figcaption></figure>"
        )
    kinds = {mark.supervision for shown in pictures for mark in shown.marks}
    hint = " ".join(
        ["Boxes are where an agent looked.", *(told for kind, told in DASHED.items() if kind in kinds)]
    )
    return (
        '<section class="slices" aria-labelledby="slices-title">\n<h2 id="slices-title">Key slices</h2>\n'
        f'<p class="hint">{hint}</p>\n<div class="figures">\n' + "\n".join(figures) + "\n</div>\n</section>"
    )


def _removed(removed: list[Row]) -> str:
    if not removed:
        return ""
    items = "\n".join(
        f'<li><q>{escaped(row["text"])}</q> <span class="why">{escaped(row["reason"])}</span></li>'
        for row in removed
    )
    count = f"{len(removed)} sentence{'s' if len(removed) > 1 else ''}"
    return (
        f'<section class="removed">\n<details><summary>{count} of the model removed: no claim carries '
        f"{'them' if len(removed) > 1 else 'it'}</summary>\n<ul>\n{items}\n</ul></details>\n</section>"
    )


def _highlights(sentences: list[Row], number: dict[str, int], pictures: Sequence[KeySlice]) -> str:
    """Rules that light up claims and slices of the sentence under the pointer or in focus, without a script."""
    figures = list(shown_marks(pictures))
    rules = []
    for sentence in sentences:
        if sentence["claim_keys"] and sentence["section"] != NOTICE:
            lit = [f"#c{number[key]}" for key in sentence["claim_keys"]]
            if sentence["kind"] == Kind.FINDING:
                lit += sorted({f"#i{i}" for i, key in figures if key in sentence["claim_keys"]})
            pointed = f"#s{sentence['position']}>summary:is(:hover,:focus-visible)"
            rules.append(f"main:has({pointed}) :is({','.join(lit)}){{background:var(--lit)}}")
    return "\n".join(rules) + "\n" if rules else ""
