"""What phantom radiologists mean by their reports, as units: for tests alone.

Belongs here: reports of one style with the units that they tell. Does not belong here: reading them (``claims.units``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from unittest.mock import patch

import numpy as np

from spine_models.corpus.statements import Unit, merged
from spine_models.domain import Status
from spine_models.phantom.body.pathology import VERTEBRAE_OF, discs_of
from spine_models.phantom.records import reports as records
from spine_models.phantom.records.identity import draw_patient
from spine_models.phantom.records.statements import Statement, draw_statements
from spine_models.phantom.timeline import draw_visits


def units_of_truth(statements: Iterable[Statement]) -> list[Unit]:
    """Units that a report of these statements tells; where it hedges, they are possible."""
    certainty = {Status.PRESENT: "definite", Status.AMBIGUOUS: "possible"}
    return merged(
        Unit(
            statement.condition,
            finding.level,
            None if finding.side is None else finding.side.value,
            None if finding.severity is None else finding.severity.value,
            certainty[statement.status],
        )
        for statement in statements
        if statement.status in certainty
        for finding in statement.findings
    )


def phantom_reports(patients: int, seed: int) -> Iterator[tuple[str, str, list[Unit]]]:
    """Style, report and its units, every study once in every style."""
    for number in range(patients):
        rng = np.random.default_rng([seed, number])
        for visit in draw_visits(draw_patient(number, rng), number, rng):
            region = visit.study.region
            statements = draw_statements(visit.findings, (*VERTEBRAE_OF[region], *discs_of(region)), rng)
            for style in records.STYLES:
                # The style is the writer's first draw; a table of one style leaves it no choice.
                with patch.object(records, "STYLES", {style: 1.0}):
                    text = records.write_report(visit.study, statements, ["t1_tse_sag"], rng, prior=None)
                yield style, text, units_of_truth(statements)
