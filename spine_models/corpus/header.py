"""Acquisition facts of one MR instance: what the sequence classifier, shards and tables know of a header.

Belongs here: reading standard attributes of classic and enhanced MR into one flat, typed row, with units.
Does not belong here: identifiers, pixel data, or a judgement of what the sequence is.
"""

import polars as pl

ACQUISITION = pl.Schema(
    {
        "series_number": pl.Int32,
        "instance_number": pl.Int32,
        "frames": pl.Int32,
        "rows": pl.Int32,
        "columns": pl.Int32,
        "bits_stored": pl.Int32,
        "photometric": pl.String,
        "vendor": pl.String,  # Siemens | Philips | GE | Canon | Hitachi | Hyperfine | other; null when absent
        "scanner_model": pl.String,
        "field_strength_t": pl.Float64,
        "coil": pl.String,
        "body_part": pl.String,
        "tr_ms": pl.Float64,
        "te_ms": pl.Float64,
        "ti_ms": pl.Float64,
        "flip_deg": pl.Float64,
        "echo_train_length": pl.Int32,
        "b_value": pl.Float64,
        "scanning_sequence": pl.String,  # multi-values joined by a backslash, as in DICOM
        "sequence_variant": pl.String,
        "scan_options": pl.String,
        "sequence_name": pl.String,
        "image_type": pl.String,
        "acquisition_type": pl.String,  # 2D | 3D
        "has_contrast_agent": pl.Boolean,
        "iop": pl.List(pl.Float64),  # 6 direction cosines, patient LPS; null when absent
        "ipp_mm": pl.List(pl.Float64),  # 3, patient LPS, centre of the first voxel of the first frame
        "pixel_spacing_mm": pl.List(pl.Float64),  # [between rows, between columns]
        "slice_thickness_mm": pl.Float64,
        "spacing_between_mm": pl.Float64,
    }
)
