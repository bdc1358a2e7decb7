-- A level that was found lies on a slice of its own study and series, if on any, and its box has an area and lies
-- inside the source image, if it has one.
-- table: localization.level_findings
-- severity: error
SELECT findings.batch_key, findings.study_key, findings.condition, findings.rank, findings.slice_key
FROM localization.level_findings AS findings
LEFT JOIN shards.slices AS slices
    ON slices.slice_key = findings.slice_key
    AND slices.study_key = findings.study_key
    AND slices.series_key = findings.series_key
WHERE
    (findings.slice_key IS NOT NULL AND slices.slice_key IS NULL)
    OR (
        COALESCE(findings.x, findings.y, findings.w, findings.h) IS NOT NULL
        -- The slack is that of rounding. The bounds that a Parquet file keeps leave NaN out.
        AND NOT COALESCE(
            ISFINITE(findings.x + findings.y + findings.w + findings.h)
            AND findings.w > 0
            AND findings.h > 0
            AND findings.x >= -1e-6
            AND findings.y >= -1e-6
            AND findings.x + findings.w <= slices.source_columns + 1e-6
            AND findings.y + findings.h <= slices.source_rows + 1e-6,
            FALSE
        )
    )
ORDER BY findings.batch_key, findings.study_key, findings.condition, findings.rank;
