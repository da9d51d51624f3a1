"""What holds for every test."""

from __future__ import annotations

import gc
import os
import tempfile

if "PYTEST_XDIST_WORKER" in os.environ:  # a process per core: each with one thread, or they stand in each other's way
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)  # a busy machine is no failure; the same examples
settings.register_profile("thorough", deadline=None)  # as many as a property asks for, others every time
settings.load_profile("steady")

_cache = tempfile.TemporaryDirectory(prefix="lora-doctor-test-cache-")
os.environ["LORA_DOCTOR_CACHE"] = _cache.name  # never the user's own; gone when the tests end


def pytest_collection_finish() -> None:
    """What stays until the end is not looked through at each collection, which took more time than many a test."""
    gc.collect()
    gc.freeze()
