"""Report model: slice vectors of a study through a projector into a Llama decoder that writes text.

Belongs here: images and prompts as tensors, projector, adapters, losses, generation, training. Does not belong here:
slice encoders, what the agents say, the scores of a text.
"""
