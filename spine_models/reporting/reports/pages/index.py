"""The list of drafts.

Belongs here: one row a study. Does not belong here: a study's own page (``study``).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from spine_models.domain import Region
from spine_models.reporting.reports.pages.markup import escaped, page
from spine_models.reporting.reports.template import load_template

Row = dict[str, Any]


def index_page(entries: list[tuple[Row, list[Row]]]) -> str:
    """All drafts with what they report; each row leads to its page."""
    language = load_template(Region.UNKNOWN).language
    rows = "\n".join(_row(draft, claims) for draft, claims in entries)
    total = f"{len(entries)} {'study' if len(entries) == 1 else 'studies'}"
    body = f"""<header>
<h1>Drafted reports</h1>
<p class="hint">{total}. Each row opens a draft; every sentence of it leads to its claims and slices.</p>
</header>
<main>
<div class="scroll"><table class="index">
<thead><tr><th scope="col">Study</th><th scope="col">Region</th><th scope="col">Reported</th>
<th scope="col">Possible</th><th scope="col" class="count">Absent</th>
<th scope="col" class="count">Undetermined</th><th scope="col" class="count">Not assessed</th>
<th scope="col">Written by</th><th scope="col">Batch</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
</main>"""
    return page("Drafted reports", language.notice, body)


def _row(draft: Row, claims: list[Row]) -> str:
    template = load_template(Region(draft["region"]))
    affirmed = sorted(
        (c for c in claims if c["affirmed"]),
        key=lambda c: (template.tier(c["condition"]), -(c["probability"] or 0.0), c["condition"]),
    )
    named = [
        ", ".join(
            template.findings[c["condition"]] for c in affirmed if (c["certainty"] == "possible") is doubt
        )
        for doubt in (False, True)
    ]
    left = Counter(c["status"] for c in claims if not c["affirmed"])
    counts = "".join(
        f'<td class="count{"" if left[s] else " zero"}">{left[s]}</td>'
        for s in ("absent", "indeterminate", "not_assessed")
    )
    writer = draft["writer"] if draft["writer"] == "templates" else f"model {draft['writer'][:8]}"
    return (
        f'<tr><th scope="row"><a href="{escaped(draft["study_key"])}.html">'
        f"{escaped(draft['study_key'][:12])}</a></th><td>{escaped(draft['region'])}</td>"
        f"<td>{escaped(named[0]) or '–'}</td><td>{escaped(named[1]) or '–'}</td>{counts}"
        f'<td>{escaped(writer)}</td><td class="batch">{escaped(draft["batch_key"])}</td></tr>'
    )
