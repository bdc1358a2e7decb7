-- A claim key names one claim.
-- table: agents.claims
-- severity: error
SELECT claim_key, COUNT(*) AS claims, LIST(DISTINCT study_key ORDER BY study_key) AS studies
FROM agents.claims
GROUP BY claim_key
HAVING COUNT(*) <> 1 OR claim_key IS NULL
ORDER BY claim_key;
