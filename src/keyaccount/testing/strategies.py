"""Strategies for Hypothesis, and a state machine that drives several storages in lock step.

`values` draws what a field may hold, `entities` records of any kind, `lockstep` makes the state machine.

Raises MissingExtra at import where Hypothesis is not installed.
"""

from __future__ import annotations

from keyaccount.errors import MissingExtra

try:
    import hypothesis as _hypothesis
except ImportError:
    raise MissingExtra("testing") from None

from keyaccount.testing.drawn import entities, values
from keyaccount.testing.lockstep import lockstep

__all__ = ["entities", "lockstep", "values"]

del _hypothesis
