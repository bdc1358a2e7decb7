-- Every sentence rests on claims; only those on technique, and notices, do not.
-- table: reports.sentences
-- severity: error
SELECT batch_key, study_key, sentence_key, section, position, kind
FROM reports.sentences
WHERE
    COALESCE(LEN(claim_keys), 0) = 0
    AND NOT COALESCE(kind IN ('technique', 'notice'), FALSE)
ORDER BY batch_key, study_key, position;
