"""Report text to labels: labellers of one contract, and the panel that they make.

Belongs here: the names that other stages and assets use. Does not belong here: code.
"""

from spine_models.corpus.labels.contract import Reason, Verdict, find_quote, label_of, misquotes
from spine_models.corpus.labels.panel.adjudication import AdjudicationError, read_adjudications
from spine_models.corpus.labels.panel.agreement import agreement
from spine_models.corpus.labels.panel.audit import audit_accuracy, audit_sample
from spine_models.corpus.labels.panel.consensus import consensus
from spine_models.corpus.labels.panel.contradictions import contradictions
from spine_models.corpus.labels.panel.drift import drift
from spine_models.corpus.labels.panel.raters import raters
from spine_models.corpus.labels.panel.reliability import reliability
from spine_models.corpus.labels.panel.review import review_queue
from spine_models.corpus.labels.rules.labeller import (
    RULES_VERSION,
    LabelTables,
    label_reports,
    read_report,
)
from spine_models.corpus.labels.rules.passage import Mention

__all__ = [
    "AdjudicationError",
    "RULES_VERSION",
    "LabelTables",
    "Mention",
    "Reason",
    "Verdict",
    "agreement",
    "audit_accuracy",
    "audit_sample",
    "consensus",
    "contradictions",
    "drift",
    "find_quote",
    "label_of",
    "label_reports",
    "misquotes",
    "raters",
    "read_adjudications",
    "read_report",
    "reliability",
    "review_queue",
]
