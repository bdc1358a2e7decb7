-- Every recorded loss and gradient norm of the alignment is a finite number; a few steps that are not are no harm.
-- table: clip.curves
-- severity: warn
SELECT step, loss, grad_norm
FROM clip.curves
WHERE NOT COALESCE(ISFINITE(loss) AND ISFINITE(grad_norm), FALSE)
ORDER BY step;
