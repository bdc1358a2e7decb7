-- Every recorded loss and gradient norm is a finite number. Training leaves out a step that is not; few are no harm.
-- table: backbone.curves
-- severity: warn
SELECT route, step, loss, dino, ibot, koleo, grad_norm
FROM backbone.curves
WHERE step > 0 -- step 0 is the probe before any training and has no losses
  AND NOT COALESCE(
      ISFINITE(loss) AND ISFINITE(dino) AND ISFINITE(ibot) AND ISFINITE(koleo) AND ISFINITE(grad_norm), FALSE
  )
ORDER BY route, step;
