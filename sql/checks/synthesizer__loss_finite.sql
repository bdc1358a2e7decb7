-- Every recorded loss and gradient norm of the gates' training is a finite number; a few that are not are no harm.
-- table: synthesizer.curves
-- severity: warn
SELECT step, loss, dino, ibot, koleo, grad_norm
FROM synthesizer.curves
WHERE step > 0 -- step 0 is the probe before any training and has no losses
  AND NOT COALESCE(
      ISFINITE(loss) AND ISFINITE(dino) AND ISFINITE(ibot) AND ISFINITE(koleo) AND ISFINITE(grad_norm), FALSE
  )
ORDER BY step;
