-- A box names a frame that its image has and lies inside it; what is no box has neither frame nor size.
-- table: deid.annotations
-- severity: error
SELECT
    annotations.batch_key,
    annotations.study_key,
    annotations.kind,
    COUNT(*) AS annotations
FROM deid.annotations AS annotations
LEFT JOIN deid.instances AS instances
    ON instances.batch_key = annotations.batch_key
    AND instances.study_key = annotations.study_key
    AND instances.instance_key = annotations.instance_key
WHERE
    CASE
        WHEN annotations.kind = 'box' THEN NOT COALESCE(
            annotations.condition IS NOT NULL
            AND annotations.frame >= 0
            AND annotations.frame < COALESCE(instances.frames, 1)
            AND annotations.x >= 0
            AND annotations.y >= 0
            AND annotations.w > 0
            AND annotations.h > 0
            -- Edges are kept to hundredths of a pixel, and added here.
            AND annotations.x + annotations.w <= COALESCE(instances.columns, 65535) + 0.001
            AND annotations.y + annotations.h <= COALESCE(instances.rows, 65535) + 0.001,
            FALSE
        )
        ELSE COALESCE(annotations.frame, annotations.w, annotations.h) IS NOT NULL
    END
GROUP BY annotations.batch_key, annotations.study_key, annotations.kind
ORDER BY annotations.batch_key, annotations.study_key, annotations.kind;
