-- Every recorded loss and gradient norm of Gram anchoring is a finite number; a few steps that are not are no harm.
-- table: backbone.gram_curves
-- severity: warn
SELECT route, step, loss, dino, ibot, koleo, gram, grad_norm
FROM backbone.gram_curves
WHERE step > 0 -- step 0 is the probe before any training and has no losses
  AND NOT COALESCE(
      ISFINITE(loss) AND ISFINITE(dino) AND ISFINITE(ibot) AND ISFINITE(koleo) AND ISFINITE(gram)
      AND ISFINITE(grad_norm), FALSE
  )
ORDER BY route, step;
