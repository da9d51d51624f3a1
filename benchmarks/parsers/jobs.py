"""Jobs in, answers out: JSON lines on standard input and output; a parser that refuses is an answer too."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def answer(parse: Callable[[str, list[str]], dict[str, Any]]) -> None:
    """Call `parse(config, arguments)` for every job; whatever the trainer prints goes to standard error."""
    sys.path.insert(0, os.getcwd())
    out, sys.stdout = sys.stdout, sys.stderr
    jobs = [json.loads(line) for line in sys.stdin]
    for job in jobs:
        try:
            told = parse(job["config"], job["arguments"])
        except (Exception, SystemExit) as error:  # whatever a stranger's parser raises
            told = {"refused": f"{type(error).__name__}: {error}"}
        print(json.dumps(told, default=str), file=out, flush=True)
