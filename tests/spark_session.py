"""One session of Spark for all tests that ask for it: on this machine, without a page of its own."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def session() -> Any:
    """Start it, once: this takes some ten seconds."""
    from pyspark.sql import SparkSession

    settings = {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2"}
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
