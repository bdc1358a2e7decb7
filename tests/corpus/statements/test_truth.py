"""Units of phantom reports against what their writers meant, in every style of writing.

Reports name no side of a lesion and no severity of what is not graded, so those are compared where both tell them.
"""

from __future__ import annotations

from functools import reduce

from spine_models.config import ScoreSettings
from spine_models.corpus.statements import units_of_text
from spine_models.phantom.records.reports import STYLES
from spine_models.reporting.scores.harness import metric_of
from spine_models.reporting.scores.metric import Tally
from tests.corpus.statements.truth import phantom_reports


def test_units_of_reports_are_those_that_were_meant_at_their_levels():
    metric = metric_of(ScoreSettings())
    read = [(style, units_of_text(text), truth) for style, text, truth in phantom_reports(20, 31)]
    assert {style for style, *_ in read} == set(STYLES)
    for style in STYLES:
        own = [(units, truth) for name, units, truth in read if name == style]
        placed = reduce(Tally.__add__, (metric.rung(units, truth, "level") for units, truth in own))
        assert placed.n_told > 60
        assert placed.f1 > 0.97, style
    graded = reduce(Tally.__add__, (metric.compare(units, truth) for _, units, truth in read))
    assert graded.false_positives <= 0.01 * graded.n_said
    assert graded.wrong_level == graded.wrong_side == 0
    assert graded.wrong_severity <= 0.01 * graded.n_told
