"""Encoders: from training shards to frozen networks that turn slices into vectors.

Belongs here: one package per kind of training. Does not belong here: reading DICOM, pooling over slices, probes.
Importing this package arranges for torchvision to be repaired when something first imports it, so timm and
transformers work on a CPU machine; it imports neither torch nor torchvision itself.
"""

from spine_models.encoder.torchvision_repair import repair_on_import

repair_on_import()
