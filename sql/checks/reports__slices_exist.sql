-- The slice behind a sentence is one of its study, and is a frame of the named source image.
-- table: reports.provenance
-- severity: error
SELECT rests.study_key, rests.sentence_key, rests.claim_key, rests.slice_key, rests.instance_key
FROM reports.provenance AS rests
ANTI JOIN shards.slices AS slices
    ON slices.study_key = rests.study_key
    AND slices.slice_key = rests.slice_key
    AND slices.instance_key = rests.instance_key
WHERE rests.slice_key IS NOT NULL
ORDER BY rests.study_key, rests.sentence_key, rests.claim_key;
