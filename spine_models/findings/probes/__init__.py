"""Probes of frozen study vectors, their honest evaluation, the baselines beside them, and saved heads.

``baselines`` makes the baseline vectors (``sources``, ``featurizers``, ``networks``), ``evaluate`` the metrics and
predictions, ``compare`` encoders beside each other, ``heads`` the fitted heads that the diagnosis agents load.
``fitting`` (with ``folds``, ``logistic``, ``calibration``, ``crossfit``) is the linear head, ``mil`` (with ``bags``,
``attention``, ``mil_heads``) the attention over slices; ``scores``, ``bootstrap`` and ``delong`` are the numbers,
``tables`` the schemas.
"""
