"""The rules labeller: what remembered sentences are worth, and what a report costs.

Belongs here: speed of reading. Does not belong here: whether what is read is right (``label_accuracy.py``).

Two kinds of reports: usual ones, the phantom's, which repeat each other's sentences as a hospital's do; and strange
ones of 1.5 kB in which no sentence occurs twice (every one has a measure of its own), so that nothing is remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import polars as pl

from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels import label_reports
from spine_models.corpus.labels.rules import labeller as rules
from spine_models.phantom.body.pathology import VERTEBRAE_OF, discs_of
from spine_models.phantom.records.identity import draw_patient
from spine_models.phantom.records.reports import write_report
from spine_models.phantom.records.statements import draw_statements
from spine_models.phantom.timeline import draw_visits

ROUNDS = 5
STRANGE, PATIENTS = 60, 80
_LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
_GRADES = ("mild", "moderate", "severe")
_SENTENCES = (
    "At {level} there is a disc bulge of {mm} mm with {grade} canal stenosis and no cord compression.",
    "A {mm} mm left paracentral protrusion at {level} abuts the root without foraminal narrowing.",
    "{level}: facet arthropathy, {mm} mm joint effusion, and {grade} right foraminal stenosis.",
    "Grade 1 anterolisthesis at {level} measuring {mm} mm, without a pars defect.",
    "The previously seen synovial cyst at {level} of {mm} mm is no longer identified.",
    "Possible {mm} mm perineural cyst at {level}, otherwise the foramina are patent.",
    "Vertebral body heights are maintained but for {mm} mm of endplate depression, fracture not excluded.",
    "A T2 hyperintense lesion of {mm} mm in the L3 vertebral body is likely a hemangioma.",
)


def bench() -> list[tuple[str, float, str]]:
    """Reading every sentence over remembering the repeated ones; above 1 remembering is faster."""
    reports = _frame(_usual())
    remembered = rules._analysed

    def forgetful() -> None:
        rules._analysed = remembered.__wrapped__
        try:
            label_reports(reports)
        finally:
            rules._analysed = remembered

    def mindful() -> None:
        remembered.cache_clear()
        label_reports(reports)

    slow, fast = _in_turns(forgetful, mindful)
    return [("labels: remembered sentences", slow / fast, "every sentence read / repeated ones remembered")]


def unit_costs() -> list[tuple[str, float, float, str]]:
    """Labelling one report a patient, of either kind; a thousand over the milliseconds is reports a second."""
    usual, strange = _usual(), _strange()

    def read(texts: list[str]) -> Callable[[], None]:
        frame = _frame(texts)

        def work() -> None:
            rules._analysed.cache_clear()
            label_reports(frame)

        return work

    seconds = _in_turns(read(usual), read(strange))
    return [
        ("labels: rules, usual reports", seconds[0] / len(usual), 0.0, "patient"),
        ("labels: rules, 1.5 kB without a known sentence", seconds[1] / len(strange), 0.0, "patient"),
    ]


def _usual() -> list[str]:
    texts = []
    for number in range(PATIENTS):
        rng = np.random.default_rng([7, number])
        for visit in draw_visits(draw_patient(number, rng), number, rng):
            levels = (*VERTEBRAE_OF[visit.study.region], *discs_of(visit.study.region))
            statements = draw_statements(visit.findings, levels, rng)
            texts.append(write_report(visit.study, statements, ["t1_tse_sag", "STIR SAG"], rng))
    return texts


def _strange() -> list[str]:
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(STRANGE):
        said = "FINDINGS:"
        while len(said) < 1500:
            sentence = _SENTENCES[rng.integers(len(_SENTENCES))]
            said += " " + sentence.format(
                level=rng.choice(_LEVELS), grade=rng.choice(_GRADES), mm=f"{rng.uniform(1, 20):.6f}"
            )
        texts.append(said)
    return texts


def _frame(texts: list[str]) -> pl.DataFrame:
    names = ("batch_key", "patient_key", "study_key", "report_key", "report_text")
    rows = [("b", f"p{i}", f"s{i}", f"r{i}", text) for i, text in enumerate(texts)]
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=REPORTS)


def _in_turns(*ways: Callable[[], object]) -> tuple[float, ...]:
    """Median CPU seconds of every way, timed in turns."""
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, seconds in zip(ways, spent, strict=True):
            began = time.process_time()
            way()
            seconds.append(time.process_time() - began)
    return tuple(median(seconds) for seconds in spent)
