"""How well the rules read what the phantom's radiologists said: F1 by status, style and condition, without images.

    python tests/benchmarks/label_accuracy.py [--patients 60] [--seed 90210]

Belongs here: reports drawn from statements, read back, compared; every study is written in every style. Does not
belong here: report text (none is printed), speed (``bench_rules.py``), images.

The truth is what the report says, not what the body holds: a finding that the report affirms and its impression
denies counts as present. F1 is of a status over all conditions; the macro is the mean over present, absent and
ambiguous, and "not mentioned" counts through what it takes from the others.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from spine_models.corpus.labels import read_report
from spine_models.corpus.labels.contract import WORST
from spine_models.domain import Status, condition_keys
from spine_models.phantom.body.pathology import VERTEBRAE_OF, discs_of
from spine_models.phantom.records import reports as records
from spine_models.phantom.records.identity import draw_patient
from spine_models.phantom.records.statements import draw_statements
from spine_models.phantom.timeline import draw_visits

JUDGED = (Status.PRESENT, Status.ABSENT, Status.AMBIGUOUS)
WORST_SHOWN = 12

Pairs = Counter[tuple[Status, Status]]
"""How often (said, read) occurred."""


def read_phantom(patients: int, seed: int) -> Iterator[tuple[str, str, Status, Status]]:
    """Style, condition, what the report says and what the rules read, for every condition of every report."""
    for number in range(patients):
        rng = np.random.default_rng([seed, number])
        for visit in draw_visits(draw_patient(number, rng), number, rng):
            region = visit.study.region
            statements = draw_statements(visit.findings, (*VERTEBRAE_OF[region], *discs_of(region)), rng)
            prior = records.Prior(visit.prior, tuple(visit.prior_findings)) if visit.prior else None
            for style in records.STYLES:
                # The style is the writer's first draw; a table of one style leaves it no choice.
                with patch.object(records, "STYLES", {style: 1.0}):
                    text = records.write_report(
                        visit.study, statements, ["t1_tse_sag", "STIR SAG"], rng, prior=prior
                    )
                mentions = read_report(text)
                for statement in statements:
                    own = [m.status for m in mentions if m.condition == statement.condition]
                    read = max(own, key=WORST.__getitem__, default=Status.NOT_MENTIONED)
                    yield style, statement.condition, statement.status, read


def f1(pairs: Pairs, status: Status) -> float | None:
    """F1 of one status; null where it was neither said nor read."""
    both = pairs[status, status]
    said = sum(count for (truth, _), count in pairs.items() if truth is status)
    read = sum(count for (_, seen), count in pairs.items() if seen is status)
    return 2 * both / (said + read) if said + read else None


def macro_f1(pairs: Pairs) -> float:
    """Mean F1 over present, absent and ambiguous, of those that occur."""
    found = [value for status in JUDGED if (value := f1(pairs, status)) is not None]
    return sum(found) / len(found) if found else float("nan")


def main(patients: int, seed: int) -> float:
    """Print the tables; the macro F1 over all styles."""
    everything: Pairs = Counter()
    by_style: dict[str, Pairs] = {style: Counter() for style in records.STYLES}
    by_condition: dict[str, Pairs] = {key: Counter() for key in condition_keys()}
    wrong: Counter[tuple[str, str, str, str]] = Counter()
    for style, condition, said, read in read_phantom(patients, seed):
        for pairs in (everything, by_style[style], by_condition[condition]):
            pairs[said, read] += 1
        if said is not read:
            wrong[condition, said.value, read.value, style] += 1
    console = Console(width=120)
    reports = everything.total() // len(condition_keys())
    title = f"{patients} patients of seed {seed}, {reports:,} reports: F1 of what the rules read"
    console.print(_table(title, {"all": everything, **by_style}))
    console.print(_table("by condition", by_condition))
    worst = Table(title="kinds of disagreement, the most frequent first", title_justify="left")
    for name in ("condition", "said", "read", "style", "count"):
        worst.add_column(name)
    for (condition, said_as, read_as, style), count in wrong.most_common(WORST_SHOWN):
        worst.add_row(condition, said_as, read_as, style, f"{count:,}")
    console.print(worst)
    return macro_f1(everything)


def _table(title: str, rows: dict[str, Pairs]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("of")
    for name in ("macro", *(status.value for status in JUDGED), "cases"):
        table.add_column(name, justify="right")
    for name, pairs in rows.items():
        values = [macro_f1(pairs), *(f1(pairs, status) for status in JUDGED)]
        shown = ["-" if value is None else f"{value:.4f}" for value in values]
        table.add_row(name, *shown, f"{pairs.total():,}")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="F1 of the rules labeller on phantom reports.")
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--seed", type=int, default=90210)
    given = parser.parse_args()
    main(given.patients, given.seed)
