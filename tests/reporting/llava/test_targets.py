"""What is learned of a report: its findings, nothing of its letterhead, and no comparison."""

from __future__ import annotations

import pytest

from spine_models.reporting.llava.targets import compares, target_of, without_comparison

REPORT = """Spine Centre
Patient: [NAME]   MRN: [ID]
EXAM: MRI LUMBAR SPINE WITHOUT CONTRAST

HISTORY: 43 year old woman. Rule out fracture.
TECHNIQUE: T2 TSE SAG.
COMPARISON: MRI of May 10, 2019.

FINDINGS:
severe spinal canal stenosis at L4-L5, stable compared with May 10, 2019. no fracture. no interval change.
left synovial cyst at L3-4 as described by [NAME].

IMPRESSION:
1. Severe spinal canal stenosis at L4-L5, unchanged since 05/10/2019.
2. NO FRACTURE OF L2 ON STIR.

Dictated by Dr. [NAME], MD on 09/27/2019.
"""


def test_findings_and_impression_stay_and_comparisons_go():
    target = target_of(REPORT)
    assert target.text == (
        "FINDINGS:\nSevere spinal canal stenosis at L4-L5. No fracture.\n"
        "IMPRESSION:\n1. Severe spinal canal stenosis at L4-L5.\n2. No fracture of L2 on STIR."
    )
    assert (target.dropped, target.shortened) == (2, 2)
    assert not compares(target.text)


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("Marrow edema at L2, less conspicuous than on 12/15/2021.", "Marrow edema at L2."),
        ("There is anterolisthesis at C4-5, worse than on October 26, 2022.", "There is anterolisthesis at C4-5."),
        ("Mild edema at T9 (unchanged since the prior study).", "Mild edema at T9."),
        ("Stable moderate disc herniation at L4-5.", "Moderate disc herniation at L4-5."),
        ("New left synovial cyst at L4-5, not seen on 2019-12-09.", "Left synovial cyst at L4-5."),
        ("Moderate narrowing unchanged since the previous MRI.", "Moderate narrowing."),
        ("DISCS: Disc height is reduced at T11/12, moderate, similar to 2019-12-09.",
         "DISCS: Disc height is reduced at T11/12, moderate."),
        ("No change since the prior study.", ""),
        ("Compared with May 10, 2019, no relevant difference.", "No relevant difference."),
        ("The fracture has resolved.", ""),
        ("No fracture, dislocation or edema.", "No fracture, dislocation or edema."),
        ("Facet joints show mild degenerative change.", "Facet joints show mild degenerative change."),
        ("Disc bulge (left more than right) at L4-5.", "Disc bulge (left more than right) at L4-5."),
    ],
)  # fmt: skip
def test_a_comparison_is_cut_out_of_its_sentence(sentence, kept):
    assert without_comparison(sentence) == kept


def test_a_report_without_evidence_has_no_target():
    assert target_of("TECHNIQUE: T2 TSE SAG.\nCOMPARISON: None.").text == ""
    assert target_of("").text == ""


def test_a_report_with_a_comparison_is_learned_from():
    """Training only on reports without one would lose every follow-up."""
    assert "canal stenosis" in target_of(REPORT).text
