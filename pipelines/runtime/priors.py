"""Studies of the lake that a draft may be compared with.

Belongs here: reading them. Does not belong here: choosing and comparing (``reporting.reports.comparison``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipelines.runtime.resources import Hospital

if TYPE_CHECKING:
    from spine_models.reporting.reports import Priors

CLAIMS, STUDIES, SERIES = ("agents", "claims"), ("deid", "studies"), ("sequences", "series")


def lake_priors(hospital: Hospital, studies: pl.DataFrame, batch: str | None = None) -> Priors:
    """Studies of the same patients in other batches, as far as these have claims.

    A batch whose claims are made later is not among them: drafts are compared when they are made.

    Args:
        hospital: the installation.
        studies: ``deid.STUDIES`` that are drafted; they are never among the result.
        batch: theirs, which is not read; None where they are of no batch of the lake.
    """
    from spine_models.corpus.deid import tables as deid
    from spine_models.corpus.sequences import tables as sequences
    from spine_models.reporting.agents import tables as agents
    from spine_models.reporting.reports import Priors

    lake = hospital.lake
    schemas = {CLAIMS: agents.CLAIMS, STUDIES: deid.STUDIES, SERIES: sequences.SERIES}
    found = {key: [pl.DataFrame(schema=schema)] for key, schema in schemas.items()}
    patients = studies.select("patient_key").unique()
    for other in lake.partitions(CLAIMS):
        if other == batch or not all(lake.table_path(key, other).is_file() for key in schemas):
            continue
        known = lake.read_table(STUDIES, [other], columns=["patient_key"])
        if known.join(patients, on="patient_key", how="semi").is_empty():
            continue
        for key, rows in found.items():
            own = lake.read_table(key, [other]).join(patients, on="patient_key", how="semi")
            rows.append(own.join(studies, on="study_key", how="anti"))
    return Priors(*(pl.concat(found[key]) for key in (CLAIMS, STUDIES, SERIES)))
