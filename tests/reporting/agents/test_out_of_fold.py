"""Claims of train patients as heads would speak that had not seen them."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.findings.probes.tables import PREDICTIONS
from spine_models.reporting.agents import AgentsError, out_of_fold
from tests.reporting.agents.test_places import StubGrading, finding, findings, points


def held(*rows: tuple[str, str, float], evaluation: str = "cv", **more) -> pl.DataFrame:
    given = [
        {"study_key": study, "patient_key": f"p-{study}", "condition": condition, "probability": chance}
        | {
            "encoder": "spinefm",
            "head": "linear",
            "sequence_set": "all",
            "evaluation": evaluation,
            "label": 1,
        }
        | more
        for study, condition, chance in rows
    ]
    return pl.DataFrame([{n: row.get(n) for n in PREDICTIONS} for row in given], schema=PREDICTIONS)


@pytest.fixture
def claims(lumbar, heads):
    found = findings(finding("cyst", 1, "study-s1-i2"), finding("edema", 1, "study-s1-i2"))
    stub = heads({"cyst": 0.95, "edema": 0.95, "canal": 0.1, "pars": 0.95})
    return lumbar.diagnose(
        stub, findings=found, points=points(canal=0.5), grading=StubGrading({"cyst": "mild", "edema": "mild"})
    )


def told(frame, condition):
    return frame.filter(condition=condition).row(0, named=True)


def test_probability_status_and_certainty_are_those_out_of_fold(claims):
    spoken = out_of_fold(
        claims,
        held(("study", "cyst", 0.7), ("study", "edema", 0.2), ("study", "canal", 0.55)),
        points(canal=0.5),
    )
    cyst, edema, canal, pars = (told(spoken, c) for c in ("cyst", "edema", "canal", "pars"))
    assert (cyst["probability"], cyst["status"], cyst["certainty"]) == (0.7, "present", "probable")
    assert cyst["confidence"] == pytest.approx(0.4)
    # Still affirmed: where it is seen does not change.
    assert (cyst["level"], cyst["severity"], len(cyst["places"])) == ("L4-L5", "mild", 1)
    assert (edema["status"], edema["affirmed"], edema["certainty"]) == ("absent", False, None)
    assert (edema["level"], edema["severity"], edema["places"]) == (None, None, [])
    assert (canal["status"], canal["certainty"], canal["places"]) == ("indeterminate", "possible", [])
    # Without a prediction the head's fit had no label of it.
    assert pars == told(claims, "pars")
    assert spoken.schema == claims.schema
    assert spoken["claim_key"].equals(claims["claim_key"])


def test_only_our_linear_heads_out_of_fold_are_taken(claims):
    other = pl.concat(
        [
            held(("study", "cyst", 0.1), encoder="pixel_pca"),
            held(("study", "cyst", 0.1), head="mil"),
            held(("study", "cyst", 0.1), sequence_set="t1"),
            held(("study", "cyst", 0.1), evaluation="test"),
            held(("study", "cyst", 0.1), evaluation="val"),
            held(("another", "cyst", 0.1)),
        ]
    )
    assert out_of_fold(claims, other, points(canal=0.5)).equals(claims)


def test_cross_validation_goes_before_predictions_that_saw_reports(claims):
    both = pl.concat([held(("study", "cyst", 0.1), evaluation="seen"), held(("study", "cyst", 0.7))])
    assert told(out_of_fold(claims, both, None), "cyst")["probability"] == 0.7
    seen = held(("study", "cyst", 0.1), evaluation="seen")
    assert told(out_of_fold(claims, seen, None), "cyst")["probability"] == 0.1
    with pytest.raises(AgentsError, match="two out-of-fold predictions"):
        out_of_fold(claims, pl.concat([seen, seen]), None)


def test_guards_decide_as_they_did_for_the_claims(claims):
    class Abstaining:
        def decide(self, predictions: pl.DataFrame) -> pl.DataFrame:
            return predictions.with_columns(decision=pl.lit("abstain"), reason=pl.lit("too near"))

    spoken = out_of_fold(claims, held(("study", "cyst", 0.95)), points(cyst=0.9), guards=Abstaining())
    cyst = told(spoken, "cyst")
    assert (cyst["status"], cyst["reason"], cyst["certainty"]) == ("indeterminate", "too near", "possible")
    assert told(spoken, "pars") == told(claims, "pars")


def test_what_was_not_assessed_stays_so(archive, heads):
    tables = archive({"study": [("PD", "sagittal", "other")]})
    claims = tables.diagnose(heads({"cyst": 0.9}))
    assert out_of_fold(claims, held(("study", "cyst", 0.9)), None).equals(claims)
