"""What is aligned with what, by name.

Belongs here: the pairs of modalities of each variant. Does not belong here: the loss of a pair (``contrastive``).

``tri_modal`` T1 with report plus T2 with report: the report binds the two, and with ``image_image_weight`` T1 with
    T2 as well.
``bi_modal``  T1 with T2, no report.
``concat``    The study's images as one vector with the report. A linear map of concatenated vectors is the sum of one
    map per part, so a study's image vector is the sum of its present routes' own projections, brought to unit length.
    A route that is absent adds nothing: there is no zero vector that counts as a picture and no learned stand-in.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from spine_models.config import ClipVariant

T1: Final = "t1"
T2: Final = "t2"
REPORT: Final = "report"
IMAGE: Final = "image"
ROUTES: Final = (T1, T2)


class Pair(NamedTuple):
    """Two modalities to be aligned and the weight of their loss."""

    left: str
    right: str
    weight: float

    @property
    def name(self) -> str:
        """Like ``t1_report``."""
        return f"{self.left}_{self.right}"


def pairs(variant: ClipVariant, *, image_image_weight: float = 0.0) -> tuple[Pair, ...]:
    """The pairs of a variant; ``image_image_weight`` is of T1 with T2 in ``tri_modal`` and has no effect elsewhere.

    Raises:
        ValueError: no such variant.
    """
    if variant == "tri_modal":
        images = (Pair(T1, T2, image_image_weight),) if image_image_weight else ()
        return (Pair(T1, REPORT, 1.0), Pair(T2, REPORT, 1.0), *images)
    if variant == "bi_modal":
        return (Pair(T1, T2, 1.0),)
    if variant == "concat":
        return (Pair(IMAGE, REPORT, 1.0),)
    raise ValueError(f"no variant {variant!r}: choose tri_modal, bi_modal or concat")


def reads_reports(variant: ClipVariant) -> bool:
    """Whether a variant has a use for report texts."""
    return any(REPORT in pair for pair in pairs(variant))
