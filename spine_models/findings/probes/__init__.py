"""Linear probes of frozen study vectors, their honest evaluation, the baselines beside them, and saved heads.

``baselines`` makes the baseline vectors, ``evaluate`` the metrics and predictions, ``heads`` the fitted heads
that the diagnosis agents load. ``folds``, ``logistic``, ``calibration`` and ``crossfit`` are the method,
``scores`` the numbers, ``tables`` the schemas.
"""
