-- Every recorded loss and gradient norm of the gates' training with reports is finite; a few that are not do no harm.
-- table: synthesizer.align_curves
-- severity: warn
SELECT step, loss, grad_norm
FROM synthesizer.align_curves
WHERE NOT COALESCE(ISFINITE(loss) AND ISFINITE(grad_norm), FALSE)
ORDER BY step;
