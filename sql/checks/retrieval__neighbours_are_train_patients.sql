-- No neighbour is of the study's own patient, and every one is of a train patient: none of val, test or nobody.
-- table: retrieval.neighbours
-- severity: error
SELECT neighbours.study_key, neighbours.rank, neighbours.neighbour_study_key, splits.split
FROM retrieval.neighbours AS neighbours
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = neighbours.neighbour_patient_key
WHERE
    neighbours.neighbour_patient_key IS NOT DISTINCT FROM neighbours.patient_key
    OR neighbours.neighbour_study_key = neighbours.study_key
    OR splits.split IS DISTINCT FROM 'train'
ORDER BY neighbours.study_key, neighbours.rank;
