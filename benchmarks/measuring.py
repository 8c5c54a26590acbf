"""How times are taken: medians of rounds that take turns, and how they grow."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 5


def medians_of(*calls: Callable[[], object], warm_up: int = 1) -> list[float]:
    """Return the median of some rounds after a warm-up for each call, in seconds.

    Rounds take a twentieth of a second and take turns, so that what else the machine does hits all alike. What takes
    longer than a second is warmed up once.
    """
    times = []
    for call in calls:
        took = once(call)
        for _ in range(warm_up if took < 1 else 0):
            took = once(call)
        times.append(max(1, min(200, int(0.05 / max(took, 1e-6)))))
    rounds: list[list[float]] = [[] for _ in calls]
    gc.collect()
    for _ in range(ROUNDS):
        for call, count, found in zip(calls, times, rounds, strict=True):
            start = time.perf_counter()
            for _ in range(count):
                call()
            found.append((time.perf_counter() - start) / count)
    return [statistics.median(found) for found in rounds]


def once(call: Callable[[], object]) -> float:
    """Return how long one call takes: for what is too long to repeat."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def exponent(points: Mapping[int, float]) -> float | None:
    """Fit seconds = a x size ** b over the sizes; return b."""
    if len(points) < 2:
        return None
    xs, ys = [math.log(size) for size in points], [math.log(seconds) for seconds in points.values()]
    return statistics.linear_regression(xs, ys).slope
