"""Alignment of frozen image encoders with reports, and of T1 with T2: pooling, projections, symmetric InfoNCE.

Belongs here: the pooler, text towers, the contrastive objective and its variants, GradCache, the training loop.
Does not belong here: slice encoders (``encoder.backbone``), which studies may be trained on, retrieval for reports.
``vectors.slice_vectors`` makes what is trained on, ``train.train_clip`` a model, ``model.load_clip`` opens one; every
part can be used alone.
"""
