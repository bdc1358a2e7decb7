"""Claims on a page: the entry behind a sentence, and the table of all of them with their sources.

Belongs here: one claim as markup. Does not belong here: the page around it (``study``).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from spine_models.domain import conditions
from spine_models.reporting.agents.evidence import ROUTES_OF_SET
from spine_models.reporting.reports.pages.markup import escaped, probability_bar, short, status_mark
from spine_models.reporting.reports.phrasing import level_words, percent

Row = dict[str, Any]


def claim_entry(claim: Row, number: int, shown: Container[str], figures: Sequence[int]) -> str:
    """What stands behind a sentence: claim, agent and version, and the places that the sentence says.

    Args:
        claim: row of ``agents.CLAIMS``.
        number: of its row in the table.
        shown: slice_key of the places that the sentence says.
        figures: numbers of the key slices that have a box of this claim.
    """
    figure = f" {percent(claim['probability'])}" if claim["probability"] is not None else ""
    links = ", ".join(f'<a href="#i{i}">slice {i}</a>' for i in figures)
    places = [place for place in claim["places"] or () if place["slice_key"] in shown]
    lines = "".join(f"<li>{_place(place)}</li>" for place in places)
    if not places:
        lines = f"<li>{_whole(claim)}</li>"
    seen = f" · {links}" if links and places else ""
    return (
        f'<a href="#c{number}">{escaped(claim["agent"])}</a> {short(claim["agent_version"], 24)} · '
        f'{_status(claim)}{figure} · claim {short(claim["claim_key"])}{seen}<ul class="places">{lines}</ul>'
    )


def claims_table(claims: list[Row], number: dict[str, int]) -> str:
    """All claims, affirmed ones first, each with its models, series and images folded."""
    names = {condition.key: condition.name for condition in conditions()}
    groups = []
    for claim in claims:
        where = "; ".join(
            dict.fromkeys(told for place in claim["places"] or () if (told := place_words(place)))
        )
        placed = f' <span class="place">{escaped(where)}</span>' if where else ""
        probability = claim["probability"]
        bar = probability_bar(probability, percent(probability)) if probability is not None else "–"
        groups.append(
            f'<tbody id="c{number[claim["claim_key"]]}">\n'
            f'<tr><th scope="row">{escaped(names[claim["condition"]])}{placed}</th>'
            f'<td>{_status(claim)}</td><td class="probability">{bar}</td></tr>\n'
            f'<tr class="source"><td colspan="3">{_source(claim)}</td></tr>\n</tbody>'
        )
    return (
        '<div class="scroll"><table>\n<thead><tr><th scope="col">Condition</th><th scope="col">Status</th>'
        '<th scope="col">Probability</th></tr></thead>\n' + "\n".join(groups) + "\n</table></div>"
    )


def place_words(place: Row) -> str:
    """Level, side and severity as far as a place has them."""
    level = place["level"] and (
        level_words(place["level"]) + (" (uncertain)" if place["level_uncertain"] else "")
    )
    return ", ".join(word for word in (level, place["side"], place["severity"]) if word)


def _status(claim: Row) -> str:
    doubtful = claim["affirmed"] and claim["certainty"] in ("probable", "possible")
    return status_mark(claim["certainty"] if doubtful else claim["status"])


def _place(place: Row) -> str:
    told = place_words(place) or "level not determined"
    box = "no box"
    if None not in (place["x"], place["y"], place["w"], place["h"]):
        box = f"box {place['x']:.0f}, {place['y']:.0f}, {place['w']:.0f} × {place['h']:.0f} px"
    chance = "" if place["confidence"] is None else f" · box holds it: {percent(place['confidence'])}"
    frame = f", frame {place['frame'] + 1}" if place["frame"] else ""
    seen, source = (short(place[name] or "–", 12) for name in ("slice_key", "instance_key"))
    taught = escaped(place["supervision"] or "unknown")
    return f"{escaped(told)} · slice {seen} · {box} ({taught}){chance} · source {source}{frame}"


def _whole(claim: Row) -> str:
    """A claim that rests on the study as a whole."""
    if claim["probability"] is None:
        return escaped(claim["reason"] or "no reason given")
    sources = " ".join(short(key) for key in claim["source_instances"][:3])
    more = len(claim["source_instances"]) - 3
    rest = f" and {more} more" if more > 0 else ""
    return f"the study as a whole, {_extent(claim)} · source {sources}{rest}"


def _source(claim: Row) -> str:
    """Agent, model versions and images of a claim, folded; or why there are none."""
    agent = f"<code>{escaped(claim['agent'])}</code>"
    if claim["probability"] is None:
        return f"{agent} · {escaped(claim['reason'] or 'no reason given')}"
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
    reason = f" · {escaped(claim['reason'])}" if claim["reason"] else ""
    return f"<details><summary>{agent} · {_extent(claim)}{reason}</summary><dl>{terms}</dl></details>"


def _extent(claim: Row) -> str:
    images = len(claim["source_instances"])
    return f"{len(claim['source_series'])} series, {images} image{'' if images == 1 else 's'}"
