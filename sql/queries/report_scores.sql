-- What are drafted reports worth against the studies' own, and what do the agents add? One row a method.
-- columns:
--   method                agents, agents_llm (language model given the agents), image_only, retrieved
--   n_studies             test patients' studies with a report and a text of this method
--   n_missing             with a report, without a text
--   n_unreadable          of the scored ones, texts that neither affirm nor deny any condition
--   f1                    of findings with their places and degrees, clinically weighted
--   f1_low                lower end of its 95 % interval over patients
--   f1_high               upper end
--   precision             share of what the texts affirm that holds; null where they affirm nothing
--   recall                share of what the reports affirm that is said
--   f1_conditions         f1 of the conditions alone, whatever their place
--   f1_places             f1 of what is equal in condition, level and side
--   false_positives       invented findings a study
--   omissions             omitted findings a study
--   auroc                 mean report AUROC over conditions, by the text
--   edit_distance         words to change, as a share of the longer text
--   rouge_l               longest common subsequence of words, F-measure
--   bleu                  0 to 1
--   over_image_only       f1 as a multiple of that of image_only, on the same studies
--   over_image_only_low   lower end of its paired interval
--   over_image_only_high  upper end
--   over_retrieved        f1 as a multiple of that of the retrieved report, on the same studies
--   over_retrieved_low    lower end of its paired interval
--   over_retrieved_high   upper end
--   judge_supported       share of the texts' findings that a language model calls supported
--   judge_omissions       omitted findings a study by its verdicts
--   reason                why there is no number; null otherwise
SELECT
    graded.method,
    graded.n_studies,
    graded.n_missing,
    graded.n_unreadable,
    graded.f1,
    graded.f1_low,
    graded.f1_high,
    graded.precision,
    graded.recall,
    conditions.f1 AS f1_conditions,
    places.f1 AS f1_places,
    graded.false_positives,
    graded.omissions,
    areas.auroc,
    graded.edit_distance,
    graded.rouge_l,
    graded.bleu,
    alone.ratio AS over_image_only,
    alone.ratio_low AS over_image_only_low,
    alone.ratio_high AS over_image_only_high,
    nearest.ratio AS over_retrieved,
    nearest.ratio_low AS over_retrieved_low,
    nearest.ratio_high AS over_retrieved_high,
    judged.supported AS judge_supported,
    judged.omissions AS judge_omissions,
    graded.reason
FROM scores.methods AS graded
LEFT JOIN scores.methods AS conditions
    ON conditions.method = graded.method AND conditions.strictness = 'condition'
LEFT JOIN scores.methods AS places
    ON places.method = graded.method AND places.strictness = 'side'
LEFT JOIN scores.conditions AS areas
    ON areas.method = graded.method AND areas.condition = 'all' AND areas.score = 'text'
LEFT JOIN scores.comparisons AS alone
    ON alone.method = graded.method AND alone.against = 'image_only' AND alone.measure = 'f1'
LEFT JOIN scores.comparisons AS nearest
    ON nearest.method = graded.method AND nearest.against = 'retrieved' AND nearest.measure = 'f1'
LEFT JOIN scores.judgements AS judged ON judged.method = graded.method
WHERE graded.strictness = 'graded'
ORDER BY LIST_POSITION(['agents', 'agents_llm', 'image_only', 'retrieved'], graded.method);
