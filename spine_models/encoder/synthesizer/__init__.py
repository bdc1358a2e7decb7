"""The synthesizer: two frozen encoders run side by side, layer by layer mixed by learned weights, for every contrast.

Belongs here: gates, the fused encoder, its self-supervised training, files and the exported weights.
Does not belong here: training T1 and T2 themselves (backbone), text alignment, pooling over slices.
``train.synthesize`` makes a fused encoder, ``files.load_fused`` opens one, ``gate_table.gate_table`` shows its weights.
"""
