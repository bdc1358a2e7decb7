"""Corpus layer: from an inbox as a hospital drops it to de-identified tables, labels and training shards.

Belongs here: the stages archive, deid, labels, sequences and shards, and what two of them must read alike
(`header`: acquisition facts of one instance; `geometry`: planes, slice order and spacing).
Does not belong here: learned models, orchestration, or a public name re-exported from a stage.
"""
