-- Do held-out images find their report, and texts their slices? With intervals, beside chance and the baselines.
-- columns:
--   task                 image_to_report, report_to_image, text_to_slice, condition_to_slice, orientation
--   sequence_set         t1, t2, other, all
--   encoder              clip, synthesizer, or a name + "+linear": mapped to the reports
--   query                what is asked with
--   gallery              what is sought
--   n_queries            queries that count
--   recall_1             share whose answer came first
--   recall_5             share whose answer came among the first five
--   recall_5_low         lower end of its 95 % interval over patients
--   recall_5_high        upper end
--   recall_10            share whose answer came among the first ten
--   median_rank          of the best answer, from 1
--   mrr                  mean reciprocal rank
--   chance_recall_5      recall_5 of random order
--   gain                 relative gain in recall at 5 over the best baseline, on the same queries; null elsewhere
--   gain_low             lower end of its paired interval
--   gain_high            upper end
--   next_best            that baseline
--   over_clip            relative gain of all series over T1 and T2 alone, on the same studies; null elsewhere
--   over_clip_low        lower end of its paired interval
--   over_clip_high       upper end
--   reason               why there is no number, or no gain
SELECT
    scores.task,
    scores.sequence_set,
    scores.encoder,
    scores.query,
    scores.gallery,
    scores.n_queries,
    scores.recall_1,
    scores.recall_5,
    scores.recall_5_low,
    scores.recall_5_high,
    scores.recall_10,
    scores.median_rank,
    scores.mrr,
    scores.chance_recall_5,
    gains.gain,
    gains.gain_low,
    gains.gain_high,
    gains.next_best,
    over_clip.gain AS over_clip,
    over_clip.gain_low AS over_clip_low,
    over_clip.gain_high AS over_clip_high,
    COALESCE(scores.reason, gains.reason, over_clip.reason) AS reason
FROM retrieval.scores AS scores
LEFT JOIN retrieval.gains AS gains
    ON
    scores.task = 'image_to_report'
    AND gains.sequence_set = scores.sequence_set
    AND gains.encoder = scores.encoder
    AND gains.query = scores.query
    AND gains.against = 'best_baseline'
LEFT JOIN retrieval.gains AS over_clip
    ON
    scores.task = 'image_to_report'
    AND over_clip.sequence_set = scores.sequence_set
    AND over_clip.encoder = scores.encoder
    AND over_clip.query = scores.query
    AND over_clip.against = 'without_synthesizer'
ORDER BY
    LIST_POSITION(
        ['image_to_report', 'report_to_image', 'text_to_slice', 'condition_to_slice', 'orientation'], scores.task
    ),
    LIST_POSITION(['t1', 't2', 'other', 'all'], scores.sequence_set),
    scores.recall_5 DESC NULLS LAST,
    scores.encoder,
    scores.query;
