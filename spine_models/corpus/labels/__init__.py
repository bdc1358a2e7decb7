"""Report text to labels: the rules labeller, its mentions with evidence, and the consensus of labellers.

Belongs here: the names that other stages and assets use. Does not belong here: code.
"""

from spine_models.corpus.labels.consensus import consensus
from spine_models.corpus.labels.rules import RULES_VERSION, LabelTables, Mention, label_reports, read_report

__all__ = ["RULES_VERSION", "LabelTables", "Mention", "consensus", "label_reports", "read_report"]
