"""Counters for Prometheus."""

from auricle.serve.admission import Admission


class Metrics:
    """What /metrics shows."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
