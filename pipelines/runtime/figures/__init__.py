"""Figures of the findings as asset metadata, one module a stage; only ever of numbers and de-identified slices.

Belongs here: drawing arrays and frames. Does not belong here: computing them (``spine_models.findings``), tables and
counts (``pipelines.runtime.metadata``), what encoders see (``pipelines.runtime.pictures``).
"""
