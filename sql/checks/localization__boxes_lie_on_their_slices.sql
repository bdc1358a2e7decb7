-- A box has an area and lies inside its preprocessed slice, which the shards know, and inside the source image.
-- table: localization.findings
-- severity: error
SELECT findings.batch_key, findings.study_key, findings.condition, findings.rank, findings.slice_key
FROM localization.findings AS findings
LEFT JOIN shards.slices AS slices
    ON slices.slice_key = findings.slice_key AND slices.patient_key = findings.patient_key
-- The slack is that of rounding.
WHERE
    NOT COALESCE(
        findings.w > 0
        AND findings.h > 0
        AND findings.output_w > 0
        AND findings.output_h > 0
        AND findings.output_x >= -1e-6
        AND findings.output_y >= -1e-6
        AND findings.output_x + findings.output_w <= slices.size_px + 1e-6
        AND findings.output_y + findings.output_h <= slices.size_px + 1e-6
        AND findings.x >= -1e-6
        AND findings.y >= -1e-6
        AND findings.x + findings.w <= slices.source_columns + 1e-6
        AND findings.y + findings.h <= slices.source_rows + 1e-6,
        FALSE
    )
ORDER BY findings.batch_key, findings.study_key, findings.condition, findings.rank;
