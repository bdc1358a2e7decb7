"""Schemas of the tables that leave the restricted zone; pseudonyms only.

A key is the lower-case hex of a 128-bit keyed digest; for studies, series and instances it is the integer of
the released file's ``2.25.`` UID written in hex (32 digits), so that a row finds its object and back.
"""

import polars as pl

from spine_models.corpus.header import ACQUISITION, MOSAIC

FILES = pl.Schema(
    {
        "batch_key": pl.String,
        "cohort": pl.String,
        "file_key": pl.String,  # keyed digest of inbox, path and content hash
        "kind": pl.String,
        "outcome": pl.String,  # released | duplicate | rejected | quarantined
        "reason": pl.String,  # null when released
    }
)
"""One row per inbox file: the file ledger."""

INSTANCES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "instance_key": pl.String,
        "sop_class": pl.String,  # MR | Enhanced MR
        "series_description": pl.String,  # rebuilt from the controlled vocabulary
        "protocol_name": pl.String,
        "pixel_sha256": pl.String,
        "dicom_path": pl.String,  # relative to the batch's DICOM folder
        **ACQUISITION,
        **MOSAIC,
    }
)

STUDIES = pl.Schema(
    {
        "batch_key": pl.String,
        "cohort": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "study_date": pl.String,  # ISO, shifted; the year alone under dates=year_only
        "age_years": pl.Int32,  # 90 stands for 90 and over
        "sex": pl.String,
        "n_series": pl.Int32,
        "n_instances": pl.Int32,
        "has_report": pl.Boolean,
    }
)

REPORTS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "report_key": pl.String,
        "report_text": pl.String,
    }
)

EHR_PATIENTS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "sex": pl.String,
        "zip3": pl.String,
        "height_cm": pl.Float64,
        "weight_kg": pl.Float64,
    }
)
EHR_ENCOUNTERS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "encounter_key": pl.String,
        "admit_date": pl.String,
        "discharge_dttm": pl.String,
        "icd10": pl.String,
        "age_at_visit": pl.Int32,
        "note": pl.String,
    }
)
EHR_ORDERS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,  # null where the order's study is not in the archive
        "order_key": pl.String,
        "order_date": pl.String,
        "exam": pl.String,
        "reason": pl.String,
    }
)

ANNOTATIONS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,  # null for labels
        "instance_key": pl.String,  # null but for points and boxes
        "kind": pl.String,  # label | point | series | box
        "condition": pl.String,  # canal | neuroforaminal | subarticular; of boxes any; null for series
        "side": pl.String,  # left | right; null for canal; of boxes any side or null
        "level": pl.String,  # L1-L2 .. L5-S1; of boxes any disc, vertebra or null
        "severity": pl.String,  # normal_mild | moderate | severe, of boxes mild | ..; null: an empty cell
        "grade": pl.Int8,  # 0 | 1 | 2, as severity; null for boxes
        "frame": pl.Int32,  # of boxes, 0-based, as in shards.slices; null for other kinds
        "x": pl.Float64,  # pixels from the left, of points; of boxes the left edge, pixel 0 spans 0 to 1
        "y": pl.Float64,  # pixels from the top, of points; of boxes the top edge
        "w": pl.Float64,  # pixels of the source frame, of boxes
        "h": pl.Float64,  # pixels of the source frame, of boxes
        "description": pl.String,  # of series: sagittal_t1 | sagittal_t2_stir | axial_t2
    }
)
"""Third-party labels and points, and boxes of readers, of released studies."""

AUDIT = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "instance_key": pl.String,
        "removed": pl.Int32,
        "emptied": pl.Int32,
        "replaced": pl.Int32,
        "uids_mapped": pl.Int32,
        "dates_shifted": pl.Int32,
        "cleaned": pl.Int32,
        "kept": pl.Int32,
        "source_sha256_keyed": pl.String,  # keyed digest of the source file's hash: proves, does not reveal
        "released_sha256": pl.String,
        "engine": pl.String,
        "table_id": pl.String,
        "key_id": pl.String,
        "hipaa_basis": pl.String,
    }
)

DATE_INTEGRITY = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "n_studies": pl.Int32,
        "n_encounters": pl.Int32,  # dates of encounters: admission and discharge
        "n_orders": pl.Int32,
        "n_report_dates": pl.Int32,
        "n_intervals": pl.Int32,  # between consecutive dates of studies, encounters and orders
        "wrong_intervals": pl.Int32,
        "wrong_dates": pl.Int32,  # not the source's day plus the patient's shift
        "beyond_bound": pl.Int32,  # farther from the source's day than any shift, or not moved
        "report_dates_unproved": pl.Int32,  # the source report does not spell the day in a form that was looked for
    }
)
"""One row per released patient, counted against the restricted zone: no date and no shift in it."""

QUARANTINE = pl.Schema(
    {
        "batch_key": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "kind": pl.String,
        "reason": pl.String,
    }
)
"""Restricted: which originals wait for a person, and why."""

GATE = pl.Schema(
    {
        "batch_key": pl.String,
        "rule": pl.String,
        "subject": pl.String,  # pseudonym or table name; never a value
        "hits": pl.Int32,
    }
)
"""One row per violation; an empty table is the only state in which a batch is published."""
