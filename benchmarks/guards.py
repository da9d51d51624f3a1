"""Does each test of a silent failure fail when its guard is taken out? A check of `tests/test_silent_failures.py`.

`python -m benchmarks.guards` copies the repository to a temporary folder, takes out one guard after the other there,
and runs the test that must notice. Exits with 1 when one does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = "tests/test_silent_failures.py"


@dataclass(frozen=True, slots=True)
class Guard:
    """A line that protects from a silent failure, and what stands there without it."""

    what: str
    file: str
    line: str
    without: str
    test: str
    """Part of the name of the test that must fail."""


GUARDS = (
    Guard("every module has its own alpha", "lora_file.py", "stored=stored,", "stored=None,", "scales_that_differ"),
    Guard("peft's prefix is known", "lora_keys.py", '"base_model.model."', '"never."', "prefix_it_does_not"),
    Guard(
        "flattened names are known", "lora_places.py", '    names.setdefault(alias.replace(".", "_"), place)\n', "",
        "stable_diffusion_3",
    ),
    Guard(
        "magnitudes are applied", "lora_delta.py", "(magnitude := _magnitude(parts))", "(magnitude := None)",
        "magnitudes",
    ),
    Guard("half a module is refused", "lora_tensors.py", "    if lora.faults:", "    if False:", "half_of_a_module"),
    Guard("a module without a place is refused", "lora_merge.py", "    if lost:", "    if False:", "does_not_have"),
    Guard("NaN is refused", "lora_tensors.py", "    if lora.non_finite:", "    if False:", "numbers_that_are_none"),
    Guard(
        "without alpha it is the rank", "lora_alpha.py", "    return float(rank), float(rank)\n",
        "    return 1.0, float(rank)\n", "only_some_modules",
    ),
    Guard("FLUX's T5 is found", "lora_places.py", ".startswith(\"T5\")", ".startswith(\"T6\")", "t5_encoder"),
    Guard("a misfit is refused", "lora_merge.py", "        if misfits:", "        if False:", "leaves_the_pipeline"),
)  # fmt: skip


def notices(copy: Path, guard: Guard) -> bool:
    """Whether the test fails without the guard; the file is put back."""
    path = copy / "lora_doctor" / guard.file
    text = path.read_text(encoding="utf-8")
    if text.count(guard.line) != 1:
        raise SystemExit(f"{guard.file} has {text.count(guard.line)} times {guard.line!r}: the list wants renewing.")
    path.write_text(text.replace(guard.line, guard.without), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", TESTS, "-k", guard.test]
    run = subprocess.run(
        command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, check=False
    )
    path.write_text(text, encoding="utf-8")
    return run.returncode == 1


def main() -> None:
    """Take out every guard and print what happens."""
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "patients", "build")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for guard in GUARDS:
            found = notices(copy, guard)
            unnoticed += not found
            print(f"{'its test fails' if found else 'NOT NOTICED':16}{guard.what}", flush=True)
    sys.exit(int(unnoticed > 0))


if __name__ == "__main__":
    main()
