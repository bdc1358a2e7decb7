import polars as pl

from spine_models.corpus.deid.gate.frames import FrameSearch
from spine_models.corpus.deid.gate.identifiers import Known


def search_for(number: str) -> FrameSearch:
    known = Known()
    known.add("p", "number", number)
    return FrameSearch(known)


def test_a_short_record_number_does_not_mistake_shard_and_batch_names_for_itself():
    frame = pl.DataFrame(
        {"patient_key": ["p"], "shard": ["t2/train/shard-000001.tar"], "batch_key": ["internal-0001"]}
    )
    assert search_for("000001").hits(frame).total() == 0
    assert search_for("0001").hits(frame).total() == 0


def test_a_short_record_number_is_found_in_everything_else_of_its_patient():
    frame = pl.DataFrame({"patient_key": ["p"], "note": ["seen as 000001 before"]})
    assert search_for("000001").hits(frame).total() > 0
    assert search_for("000001").hits(frame.with_columns(patient_key=pl.lit("q"))).total() == 0
