"""A page as chromium shows it: what its script logs, and what becomes of the elements."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")


def in_browser(html: str, folder: Path, *, probe: str = "", width: int = 1280) -> tuple[str, str]:
    """(elements after the page's script and then `probe` have run, what was logged to the console)."""
    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    file = folder / "page.html"
    allowed = html.replace("script-src ", f"script-src 'sha256-{digest}' ")
    file.write_text(allowed.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    options = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
        f"--disable-component-update --enable-logging=stderr --user-data-dir={folder / 'profile'} "
        f"--window-size={width},900 --dump-dom"
    )
    seen = subprocess.run(
        ["chromium", *options.split(), file.as_uri()], capture_output=True, text=True, timeout=60, check=False
    )
    logged = [line for line in seen.stderr.splitlines() if "CONSOLE" in line]
    return seen.stdout, "\n".join(logged)
