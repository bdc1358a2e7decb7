"""Heads fitted on one group of studies and tested on every group: vendors, cohorts.

Means of different conditions cannot be compared, so the difference to heads of the tested group itself is taken over
the conditions that both heads can tell, on the same patients and draws.

Belongs here: fitting by group, AUROCs of every pair of groups. Does not belong here: what the groups are (``vendors``,
``cohorts``), fitting itself (``evaluate``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings
from spine_models.domain import Split
from spine_models.findings.probes.draws import Bootstrap, Replicated, difference, mean_of
from spine_models.findings.probes.evaluate import fit_set, train_folds
from spine_models.findings.probes.strata.resampling import Scored, condition_aurocs, scored
from spine_models.findings.probes.studies import StudyLabels

Aurocs = tuple[dict[int, Replicated], dict[int, str]]
"""Of ``condition_aurocs``: by column what can be scored, and why the others cannot."""


@dataclass(frozen=True)
class Transfer:
    """One sequence set's heads by training group, tested by group.

    Attributes:
        parts: by (training, tested) group the scored studies, or why the training group has no heads.
        aurocs: by the same pairs that have heads.
    """

    parts: Mapping[tuple[str, str], Scored | str]
    aurocs: Mapping[tuple[str, str], Aurocs]

    def mean(self, train: str, test: str, columns: Iterable[int]) -> dict[str, object] | None:
        """auroc with its interval, and difference to the tested group's own heads where those are others.

        Args:
            train: a group with heads.
            test: tested group.
            columns: conditions; those that cannot be scored are left out.

        Returns:
            None where no condition can be scored.
        """
        found, _ = self.aurocs[train, test]
        held = {c: found[c] for c in columns if c in found}
        if not held:
            return None
        row: dict[str, object] = dict(mean_of(list(held.values())).columns("auroc"))
        own = self.aurocs.get((test, test))
        if train != test and own is not None and (apart := difference(held, own[0])) is not None:
            row |= apart.columns("difference")
        return row


def transfer(
    study_vectors: pl.DataFrame,
    sequence_set: str,
    truths: Mapping[str, StudyLabels],
    group_of: Mapping[str, str],
    tests: Sequence[str],
    bootstrap: Bootstrap,
    *,
    probes: ProbeSettings,
    least: int,
    kind: str,
) -> Transfer:
    """Fit the heads of every training group and score them on every tested group.

    Args:
        study_vectors: embeddings.STUDIES of all batches.
        sequence_set: t1, t2, other or all.
        truths: by training group the labels, of which its heads take split train and are tested on split test.
        group_of: group by study key.
        tests: groups that are tested.
        bootstrap: over the patients of the tested studies.
        probes: folds, grid, least number of patients of either class.
        least: train patients that a group must have.
        kind: of group, for the reason.
    """
    parts: dict[tuple[str, str], Scored | str] = {}
    for train, truth in truths.items():
        n = train_patients(truth)
        if n < least:
            why = f"{n} train patients of this {kind}, at least {least} are needed"
            parts |= {(train, test): why for test in tests}
            continue
        fitted = fit_set(study_vectors, sequence_set, truth, train_folds(truth, probes), probes)
        found = scored(fitted, truth, "test")
        of_study = np.array([group_of[key] for key in found.study_keys], dtype=object)
        parts |= {(train, test): found.where(of_study == test) for test in tests}
    aurocs = {
        pair: condition_aurocs(part, bootstrap, probes.min_positive)
        for pair, part in parts.items()
        if isinstance(part, Scored)
    }
    return Transfer(parts, aurocs)


def trained_on(truth: StudyLabels, groups: np.ndarray, group: str) -> StudyLabels:
    """The labels with every other group's train studies set outside; ``groups`` are of the studies of ``truth``."""
    foreign = (truth.split == Split.TRAIN) & (groups != group)
    return replace(truth, split=np.where(foreign, Split.OUTSIDE.value, truth.split))


def train_patients(truth: StudyLabels) -> int:
    """Patients of split train."""
    return len(np.unique(truth.patient_keys[truth.split == Split.TRAIN]))
