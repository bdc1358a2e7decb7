-- Heads of a condition's levels are fitted and have a threshold, or say why not; and they have a test score or say
-- why not.
-- table: localization.level_skill
-- severity: error
SELECT condition, status, reason, threshold, unmeasured, auroc
FROM localization.level_skill
WHERE
    NOT COALESCE(
        CASE status
            WHEN 'fitted'
                THEN reason IS NULL
                AND threshold IS NOT NULL
                AND IF(auroc IS NULL, unmeasured <> '', unmeasured IS NULL)
            WHEN 'not_fitted' THEN reason <> '' AND COALESCE(threshold, auroc, study_auroc) IS NULL
        END,
        FALSE
    )
ORDER BY condition;
