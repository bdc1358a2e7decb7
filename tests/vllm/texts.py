"""Reports in a radiologist's prose, as long as real ones.

Belongs here: texts that are asked about. Does not belong here: who is asked (``conftest``), what of.
"""

from __future__ import annotations

import polars as pl

from spine_models.corpus.deid.tables import REPORTS

PARAGRAPHS = (
    "ALIGNMENT: There is grade 1 anterolisthesis of L4 on L5. Lordosis is preserved.",
    "MARROW: Old compression fracture of L1 with mild height loss. No marrow edema. Hemangioma in T12.",
    "CORD: The conus ends at L1 and is normal in signal. No intradural mass.",
    "L1-L2: No disc herniation. The canal and the foramina are patent.",
    "L2-L3: Mild disc bulge without stenosis. Facet joints are unremarkable.",
    "L3-L4: Moderate canal stenosis from a broad-based protrusion, with mild bilateral lateral recess narrowing.",
    "L4-L5: Severe canal stenosis, a 6 mm right synovial cyst, and moderate right foraminal narrowing.",
    "L5-S1: Disc space narrowing with endplate changes of Modic type 2. Possible left foraminal stenosis.",
    "PARAVERTEBRAL SOFT TISSUES: Unremarkable. Small perineural cysts at S1 on both sides.",
    "IMPRESSION: 1. Severe stenosis at L4-L5 with synovial cyst. 2. Chronic fracture of L1. 3. No infection.",
)


def reports(count: int, first: int = 0) -> pl.DataFrame:
    """Reports of about 250 words, every one with other figures."""
    rows = []
    for i in range(first, first + count):
        body = "\n".join(PARAGRAPHS[i % 10 :] + PARAGRAPHS[: i % 10])
        text = f"EXAM: MRI of the lumbar spine, case {i}.\nFINDINGS:\n{body}\n" + " ".join(
            f"The disc at position {k} measures {5 + (i * k) % 7} mm." for k in range(8)
        )
        rows.append(("b-0001", f"p{i}", f"s{i}", f"r{i}", text))
    return pl.DataFrame(rows, schema=REPORTS, orient="row")
