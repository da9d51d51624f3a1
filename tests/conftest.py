"""What holds for every test."""

from __future__ import annotations

import os
import tempfile

from hypothesis import settings

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")

_cache = tempfile.TemporaryDirectory(prefix="lora-doctor-test-cache-")
os.environ["LORA_DOCTOR_CACHE"] = _cache.name  # never the user's own; gone when the tests end
