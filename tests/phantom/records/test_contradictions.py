from __future__ import annotations

import polars as pl

from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels import contradictions, label_reports
from spine_models.phantom.body.pathology import VERTEBRAE_OF, discs_of
from spine_models.phantom.records.reports import Prior, write_report
from spine_models.phantom.records.statements import draw_statements


def test_planted_contradictions_are_found_and_none_invented(visits):
    rows, planted, written = [], set(), set()
    for number, (visit, rng) in enumerate(visits(500, 21)):
        region = visit.study.region
        statements = draw_statements(visit.findings, (*VERTEBRAE_OF[region], *discs_of(region)), rng)
        prior = Prior(visit.prior, tuple(visit.prior_findings)) if visit.prior else None
        text = write_report(visit.study, statements, ["t1_tse_sag", "STIR SAG"], rng, prior=prior)
        key = f"{number:04d}"
        rows.append(("b-0001", f"p{key}", f"s{key}", f"r{key}", text))
        against = {(f"s{key}", statement.condition) for statement in statements if statement.contradicted}
        planted |= against
        if (
            "\nfindings:" in text.lower() and "\nimpression:" in text.lower()
        ):  # not all reports have both parts
            written |= against
    names = ("batch_key", "patient_key", "study_key", "report_key", "report_text")
    reports = pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=REPORTS)
    table = contradictions(label_reports(reports).mentions)
    found = set(table.select("study_key", "condition").iter_rows())
    assert len(written) >= 10
    assert written <= found <= planted
    assert set(table["findings_status"]) == {"present"}
