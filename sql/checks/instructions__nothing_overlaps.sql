-- No patient, study, report or text is on both sides.
-- table: instructions.contamination
-- severity: error
SELECT rule, first, second, overlap
FROM instructions.contamination
WHERE overlap IS DISTINCT FROM 0
ORDER BY rule;
