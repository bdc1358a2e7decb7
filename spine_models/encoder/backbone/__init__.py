"""Self-supervised pretraining of one ViT per route: DINO with Sinkhorn-Knopp, iBOT and KoLeo.

Belongs here: the network, its losses, crops, schedules, the training loop, its health, and loading the result.
Does not belong here: which slices may be trained on (shards freezes that), text alignment, fusion of encoders.
``train.pretrain`` makes an encoder, ``anchor.anchor`` trains it on with Gram anchoring, ``encoder.load_encoder`` opens
one, ``health.health`` judges its curves.
"""
