"""Statements: what a text, an agent or a label says of a study, in units that can be compared.

Belongs here: the unit and its sources. Does not belong here: reading of sentences (``corpus.labels``), how units are
weighed or scored (``reporting.scores``), wording (``reporting.reports``).
"""

from spine_models.corpus.statements.units import (
    CERTAINTIES,
    Reference,
    Unit,
    merged,
    says_something,
    units_of_claims,
    units_of_labels,
    units_of_text,
)

__all__ = [
    "CERTAINTIES",
    "Reference",
    "Unit",
    "merged",
    "says_something",
    "units_of_claims",
    "units_of_labels",
    "units_of_text",
]
