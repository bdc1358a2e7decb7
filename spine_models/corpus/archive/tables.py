"""Schemas of the restricted archive tables: one row per file, instance, series, study, report, EHR row.

Belongs here: column names and types. Does not belong here: how a row is made. All of these tables hold
identifiers and never leave the restricted zone.
"""

import polars as pl

from spine_models.corpus.header import ACQUISITION, MOSAIC

LEDGER = pl.Schema(
    {
        "cohort": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "size_bytes": pl.Int64,  # null once the file has gone, as mtime_ns
        "mtime_ns": pl.Int64,
        "kind": pl.String,  # dicom | report | ehr | annotation | other
        "study_uid": pl.String,  # null unless a readable DICOM header names one
        "patient_id": pl.String,  # as study_uid
        "issuer_of_patient_id": pl.String,
        "accession_number": pl.String,
        "series_hash": pl.UInt64,  # 64 bits of the UID: enough to find one that is used twice
        "sop_hash": pl.UInt64,
        "batch_key": pl.String,
        "table_rows": pl.Binary,  # whose rows a report, EHR or annotation table holds; null: not read
    }
)
"""Which batch each inbox file belongs to; written by ``scan_inbox``, read by ``index_batch``."""

FILES = pl.Schema(
    {
        "batch_key": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "size_bytes": pl.Int64,
        "sha256": pl.String,
        "kind": pl.String,
        "status": pl.String,  # indexed | duplicate | rejected
        "reason": pl.String,  # null when indexed; reason code otherwise
    }
)

INSTANCES = pl.Schema(
    {
        "batch_key": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "sha256": pl.String,
        "patient_id": pl.String,
        "issuer_of_patient_id": pl.String,
        "accession_number": pl.String,
        "study_uid": pl.String,
        "series_uid": pl.String,
        "sop_uid": pl.String,
        "sop_class_uid": pl.String,
        "transfer_syntax_uid": pl.String,
        "modality": pl.String,
        "study_date": pl.String,
        "series_description": pl.String,
        "protocol_name": pl.String,
        "station_name": pl.String,
        **ACQUISITION,
        **MOSAIC,
    }
)

SERIES = pl.Schema(
    {
        "batch_key": pl.String,
        "study_uid": pl.String,
        "series_uid": pl.String,
        "n_instances": pl.Int32,
        "n_slices": pl.Int32,
        "n_stacks": pl.Int32,  # volumes that an enhanced object names; 1 where none is named
        "plane": pl.String,
        "slice_spacing_mm": pl.Float64,
        "geometry": pl.String,  # regular | irregular | mixed_orientation | single | unknown
        "b_values": pl.List(pl.Float64),  # distinct, s/mm^2; empty where the series is not diffusion-weighted
        "echo_times_ms": pl.List(pl.Float64),  # distinct, of all frames
    }
)

STUDIES = pl.Schema(
    {
        "batch_key": pl.String,
        "cohort": pl.String,
        "patient_id": pl.String,
        "issuer_of_patient_id": pl.String,
        "study_uid": pl.String,
        "accession_number": pl.String,
        "study_date": pl.String,
        "n_series": pl.Int32,
        "n_instances": pl.Int32,
        "n_reports": pl.Int32,
    }
)

REPORTS = pl.Schema(
    {
        "batch_key": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "row": pl.Int32,  # 0 for a text file, the row for csv and jsonl
        "accession_number": pl.String,
        "study_uid": pl.String,  # null: no study with this accession (quarantined by deid)
        "report_text": pl.String,
    }
)

EHR = pl.Schema(
    {
        "batch_key": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "table": pl.String,  # stem of the csv: patients | encounters | orders | as the site named it
        "row": pl.Int32,
        "values_json": pl.String,  # {"column": "value as text or null"} in the file's column order
        "owner": pl.Boolean,  # this batch releases the row; exactly one batch of the cohort does
    }
)
"""EHR rows of every patient of the batch, wherever in the cohort the csv lies, so that text can be cleaned
of them; a patient of several batches has rows in each, owned by the first. Rows of nobody stay with their
file."""

ANNOTATIONS = pl.Schema(
    {
        "batch_key": pl.String,
        "inbox": pl.String,
        "relative_path": pl.String,
        "row": pl.Int32,  # data row of the csv when the batch was indexed, from 1: a new order alone is not read
        "kind": pl.String,  # label | point | series | box
        "study_id": pl.String,  # folder names of the RSNA layout; null for boxes
        "series_id": pl.String,  # null for labels and boxes
        "instance_number": pl.Int32,  # null but for points
        "study_uid": pl.String,  # null: no such folder or image, or a folder of several studies
        "series_uid": pl.String,
        "sop_uid": pl.String,
        "condition": pl.String,  # canal | neuroforaminal | subarticular; of boxes any; null for series
        "side": pl.String,  # left | right; null for canal; of boxes any side or null
        "level": pl.String,  # L1-L2 .. L5-S1; of boxes any disc, vertebra or null
        "severity": pl.String,  # normal_mild | moderate | severe, of boxes mild | ..; null: an empty cell
        "grade": pl.Int8,  # 0 | 1 | 2, as severity; null for boxes
        "frame": pl.Int32,  # of boxes, 0-based; null for other kinds
        "x": pl.Float64,  # pixels from the left, of points; of boxes the left edge, pixel 0 spans 0 to 1
        "y": pl.Float64,  # pixels from the top, of points; of boxes the top edge
        "w": pl.Float64,  # pixels, of boxes
        "h": pl.Float64,  # pixels, of boxes
        "description": pl.String,  # of series: sagittal_t1 | sagittal_t2_stir | axial_t2
    }
)
"""Restricted: one row per study label, per point, per described series and per box."""
