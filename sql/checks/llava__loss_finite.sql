-- Every recorded loss and gradient norm of the report model is a finite number; a few steps that are not are no harm.
-- table: llava.tuned_curves
-- severity: warn
SELECT training, step, loss, grad_norm
FROM (
    SELECT 'decoder' AS training, * FROM llava.decoder_curves
    UNION ALL
    SELECT 'warmed', * FROM llava.warmed_curves
    UNION ALL
    SELECT 'tuned', * FROM llava.tuned_curves
)
WHERE NOT COALESCE(ISFINITE(loss) AND ISFINITE(grad_norm), FALSE)
ORDER BY training, step;
