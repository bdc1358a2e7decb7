"""Schemas of neighbours and of the scores of retrieval."""

import polars as pl

NEIGHBOURS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "query": pl.String,  # modality that was asked with: study, else t1, else t2 (image where clip joins them)
        "rank": pl.Int32,  # from 1
        "neighbour_study_key": pl.String,  # whose report was found
        "neighbour_patient_key": pl.String,
        "score": pl.Float64,  # cosine
        "clip_version": pl.String,  # whose space it is
        "index_version": pl.String,
    }
)

SCORES = pl.Schema(
    {
        "task": pl.String,  # image_to_report | report_to_image | text_to_slice | condition_to_slice | orientation
        "encoder": pl.String,  # clip-… | synthesizer-… | <baseline>+linear: mapped to the reports
        "query": pl.String,  # t1 | t2 | study | other | report | sagittal | axial | sentence
        "gallery": pl.String,
        "sequence_set": pl.String,  # t1 | t2 | other | all
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,
        "n_queries": pl.Int32,
        "n_patients": pl.Int32,  # of the queries
        "n_gallery": pl.Int32,
        "recall_1": pl.Float64,
        "recall_1_low": pl.Float64,
        "recall_1_high": pl.Float64,
        "recall_5": pl.Float64,
        "recall_5_low": pl.Float64,
        "recall_5_high": pl.Float64,
        "recall_10": pl.Float64,
        "recall_10_low": pl.Float64,
        "recall_10_high": pl.Float64,
        "median_rank": pl.Float64,
        "median_rank_low": pl.Float64,
        "median_rank_high": pl.Float64,
        "mrr": pl.Float64,
        "mrr_low": pl.Float64,
        "mrr_high": pl.Float64,
        "chance_recall_1": pl.Float64,
        "chance_recall_5": pl.Float64,
        "chance_recall_10": pl.Float64,
        "chance_median_rank": pl.Float64,
    }
)

GAINS = pl.Schema(
    {
        "sequence_set": pl.String,
        "encoder": pl.String,
        "query": pl.String,  # our modality that asked: t1 | t2 | other | study | t1+t2 | image
        "against": pl.String,  # best_baseline | without_synthesizer
        "next_best": pl.String,  # the baseline with the highest recall at 5; clip's modality without the synthesizer
        "status": pl.String,
        "reason": pl.String,
        "n_queries": pl.Int32,
        "n_patients": pl.Int32,
        "recall_5": pl.Float64,
        "next_best_recall_5": pl.Float64,
        "gain": pl.Float64,  # recall_5 / next_best_recall_5 - 1; null with a reason where next_best finds nothing
        "gain_low": pl.Float64,
        "gain_high": pl.Float64,
    }
)

PRECISION = pl.Schema(
    {
        "encoder": pl.String,
        "sequence_set": pl.String,
        "condition": pl.String,  # present in the query study; all: the mean over conditions
        "status": pl.String,
        "reason": pl.String,
        "n_conditions": pl.Int32,  # of all: with a number, each in the value and in every replicate; else null
        "n_queries": pl.Int32,
        "n_patients": pl.Int32,
        "precision_5": pl.Float64,  # share of the 5 nearest studies of other patients that have it, too
        "precision_5_low": pl.Float64,
        "precision_5_high": pl.Float64,
        "chance": pl.Float64,  # share of all studies of other patients that have it
    }
)
