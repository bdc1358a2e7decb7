-- What do the language models cost: questions, tokens, seconds, and how much the prefix cache saves?
-- columns:
--   labeller             whose questions
--   model                what answered
--   prompt_version       of the prompts
--   reports              reports asked about
--   questions            questions asked, repeats among them
--   answered             questions with a usable answer
--   prompt_tokens        tokens read
--   cached_share         of them, those that the prefix cache held
--   completion_tokens    tokens written
--   seconds_per_answer   mean time to a whole answer
--   retries              attempts beyond the first
--   tokens_per_report    read and written for one report
SELECT
    labeller,
    model,
    prompt_version,
    COUNT(DISTINCT report_key) AS reports,
    COUNT(*) AS questions,
    COUNT(*) FILTER (WHERE outcome = 'answered') AS answered,
    SUM(prompt_tokens) AS prompt_tokens,
    SUM(cached_tokens) / NULLIF(SUM(prompt_tokens), 0) AS cached_share,
    SUM(completion_tokens) AS completion_tokens,
    AVG(seconds) AS seconds_per_answer,
    SUM(attempts - 1) AS retries,
    (SUM(prompt_tokens) + SUM(completion_tokens)) / NULLIF(COUNT(DISTINCT report_key), 0) AS tokens_per_report
FROM labels.requests
GROUP BY labeller, model, prompt_version
ORDER BY labeller, model, prompt_version;
