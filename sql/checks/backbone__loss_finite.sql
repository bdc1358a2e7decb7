-- Every recorded loss and gradient norm is a finite number.
-- table: backbone.curves
-- severity: error
SELECT route, step, loss, dino, ibot, koleo, grad_norm
FROM backbone.curves
WHERE NOT COALESCE(
    ISFINITE(loss) AND ISFINITE(dino) AND ISFINITE(ibot) AND ISFINITE(koleo) AND ISFINITE(grad_norm), FALSE
)
ORDER BY route, step;
