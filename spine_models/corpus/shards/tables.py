"""Schemas of the slice index, what was left out, quality, the split ledger and the frozen training manifest."""

import polars as pl

SPLITS = pl.Schema({"batch_key": pl.String, "patient_key": pl.String, "split": pl.String})

SLICES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "instance_key": pl.String,
        "frame": pl.Int32,  # 0-based; of a mosaic, the tile
        "slice_key": pl.String,  # "<instance_key>-<frame, 4 digits>"
        "slice_index": pl.Int32,  # order along the series normal
        "contrast": pl.String,
        "route": pl.String,
        "plane": pl.String,
        "region": pl.String,
        "split": pl.String,
        "shard": pl.String,  # relative to the batch's shard folder
        "format": pl.Int32,  # codec.FORMAT of its member
        "member_bytes": pl.Int32,  # compressed size of its pixels
        "pixel_hash": pl.String,  # sha256 of the preprocessed array's bytes, as an encoder sees it
        "stored_hash": pl.String,  # sha256 of the stored array's bytes, before the window
        "preprocessing_version": pl.String,
        "intensity_origin": pl.Float64,  # source intensity of stored 0
        "intensity_step": pl.Float64,  # source intensity of one stored step
        "window_low": pl.Float64,  # source intensities shown as 0 and 65535
        "window_high": pl.Float64,
        "clipped_fraction": pl.Float64,  # share of source pixels that the window hides; they stay in the shard
        "source_rows": pl.Int32,
        "source_columns": pl.Int32,
        "scale": pl.Float64,  # output pixels per source pixel
        "pad_top_px": pl.Float64,  # in output pixels
        "pad_left_px": pl.Float64,
        "size_px": pl.Int32,
        "iop": pl.List(pl.Float64),
        "ipp_mm": pl.List(pl.Float64),
        "pixel_spacing_mm": pl.List(pl.Float64),
        "slice_thickness_mm": pl.Float64,
        "output_spacing_mm": pl.Float64,  # of the preprocessed grid, isotropic
        "output_ipp_mm": pl.List(pl.Float64),  # centre of the preprocessed grid's first pixel
    }
)

MANIFEST = pl.Schema(
    {
        "batch_key": pl.String,
        "route": pl.String,
        "split": pl.String,
        "shard": pl.String,
        "sha256": pl.String,
        "n_slices": pl.Int32,
        "n_patients": pl.Int32,
    }
)
"""The tars that a training run may open (splits train and val only)."""

PATIENTS = pl.Schema(
    {
        "patient_key": pl.String,
        "split": pl.String,
        "may_train": pl.Boolean,
    }
)
"""The split ledger at the moment of the freeze."""

SKIPPED = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "reason": pl.String,  # series.SkipReason
        "n": pl.Int32,  # instances of the series that are in no shard for this reason
    }
)
"""What could not be sharded and why; a series may stand here for some instances and in SLICES for others."""

QUALITY = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "contrast": pl.String,
        "route": pl.String,
        "plane": pl.String,
        "region": pl.String,
        "split": pl.String,
        "n_slices": pl.Int32,  # readable frames
        "n_scored": pl.Int32,  # slices that noise and motion were measured on
        "geometry": pl.String,  # as in the archive: single, regular, irregular, mixed_orientation, unknown
        "slice_spacing_mm": pl.Float64,  # median distance of slice centres
        "slice_gap_mm": pl.Float64,  # spacing less thickness; negative where slices overlap
        "spacing_deviation": pl.Float64,  # largest relative departure from the median spacing
        "missing_slices": pl.Int32,  # that would fill the holes of the stack
        "repeated_positions": pl.Int32,  # frames at the place of another (echoes, b-values, repeats)
        "noise_sigma": pl.Float64,  # source intensities
        "snr": pl.Float64,  # median tissue over noise
        "motion_score": pl.Float64,  # ghosts in air over the brightest tissue
        "clipped_fraction": pl.Float64,  # share of pixels outside the window
        "empty_slices": pl.Int32,
        "bits_used": pl.Int32,  # that the stored values need
        "flags": pl.List(pl.String),  # of quality.LIMITS, and no_geometry
    }
)
"""One row per series with a readable frame."""
