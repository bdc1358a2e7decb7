-- Which series are the worst, and how good are the scanners of each vendor? First vendors, then series to look at.
-- columns:
--   scope               vendor: one row a vendor; series: one row a series with a flag or far from its like
--   vendor              scanner vendor; unknown
--   contrast            of the series
--   plane               of the series
--   study_key           pseudonym
--   series_key          pseudonym
--   series              series of the vendor
--   flagged             of them, with a flag
--   missing_slices      that would fill the holes of the stacks
--   empty_slices        slices with nothing in them
--   snr                 tissue over noise; of a vendor the median
--   snr_deviation       robust deviations from series of the same vendor, contrast and plane; negative is worse
--   motion_score        ghosts in air over the brightest tissue; of a vendor the median
--   motion_deviation    robust deviations from series of the same vendor, contrast and plane; positive is worse
--   flags               limits that the series breaks
WITH measured AS (
    SELECT
        COALESCE(series.vendor, 'unknown') AS vendor,
        COALESCE(quality.contrast, 'abstained') AS contrast,
        quality.plane,
        quality.study_key,
        quality.series_key,
        quality.missing_slices,
        quality.empty_slices,
        quality.snr,
        quality.motion_score,
        quality.flags
    FROM shards.quality AS quality
    LEFT JOIN sequences.series AS series ON series.series_key = quality.series_key
),
likes AS (
    SELECT
        vendor,
        contrast,
        plane,
        MEDIAN(snr) AS snr_median,
        1.4826 * MAD(snr) AS snr_spread,
        MEDIAN(motion_score) AS motion_median,
        1.4826 * MAD(motion_score) AS motion_spread
    FROM measured
    GROUP BY vendor, contrast, plane
),
judged AS (
    SELECT
        measured.*,
        (measured.snr - likes.snr_median) / NULLIF(likes.snr_spread, 0) AS snr_deviation,
        (measured.motion_score - likes.motion_median) / NULLIF(likes.motion_spread, 0) AS motion_deviation
    FROM measured
    INNER JOIN likes USING (vendor, contrast, plane)
),
vendors AS (
    SELECT
        vendor,
        COUNT(*) AS series,
        COUNT(*) FILTER (WHERE LEN(flags) > 0) AS flagged,
        SUM(missing_slices)::BIGINT AS missing_slices,
        SUM(empty_slices)::BIGINT AS empty_slices,
        MEDIAN(snr) AS snr,
        MEDIAN(motion_score) AS motion_score
    FROM measured
    GROUP BY vendor
),
worst AS (
    SELECT *
    FROM judged
    WHERE LEN(flags) > 0 OR snr_deviation < -4 OR motion_deviation > 4
    ORDER BY LEN(flags) DESC, snr_deviation, motion_deviation DESC, series_key
    LIMIT 100
),
answer AS (
    SELECT
        'vendor' AS scope,
        vendor,
        NULL AS contrast,
        NULL AS plane,
        NULL AS study_key,
        NULL AS series_key,
        series,
        flagged,
        missing_slices,
        empty_slices,
        snr,
        NULL AS snr_deviation,
        motion_score,
        NULL AS motion_deviation,
        NULL AS flags
    FROM vendors
    UNION ALL
    SELECT
        'series',
        vendor,
        contrast,
        plane,
        study_key,
        series_key,
        NULL,
        NULL,
        missing_slices,
        empty_slices,
        snr,
        snr_deviation,
        motion_score,
        motion_deviation,
        ARRAY_TO_STRING(flags, ', ')
    FROM worst
)
SELECT *
FROM answer
ORDER BY
    scope DESC,
    LEN(STRING_SPLIT(flags, ', ')) DESC NULLS LAST,
    snr_deviation NULLS LAST,
    motion_deviation DESC NULLS LAST,
    vendor,
    series_key;
