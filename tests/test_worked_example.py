"""The chain that docs/method.md shows ends in the numbers of the diagnosis."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.worked_example import lines, strip
from lora_doctor.checkup import run_checkup
from lora_doctor.comparison_runs import read_runs
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings

SMALL = {
    "matrix": {"replicates": 1, "most_replicates": 1, "weights": [0, 0.4, 0.7, 1.0], "ship_weights": [0.7, 1.0],
               "arms": "none"},
    "render": {"steps": 3},
}  # fmt: skip


@pytest.mark.miniature
def test_every_weight_of_the_chain_ends_in_the_interval_of_the_diagnosis(tmp_path: Path) -> None:
    model = data_folder("miniature") / "patients" / "yuki" / "lora.safetensors"
    run_checkup(load_settings(model, {**SMALL, "out": str(tmp_path / "run")}))
    (run,) = read_runs([tmp_path / "run"])
    told = list(lines(run, None))
    computed = re.findall(r"= \[(-?[\d.]+), (-?[\d.]+)\]", "\n".join(told))
    known = re.findall(r"identity\.score -?[\d.]+ \[(-?[\d.]+), (-?[\d.]+)\]", "\n".join(told))
    assert len(computed) == len(known) == 2
    for mine, theirs in zip(computed, known, strict=True):
        assert [float(end) for end in mine] == pytest.approx([float(end) for end in theirs], abs=0.0051)
    score = re.search(r"= (-?[\d.]+)$", next(line for line in told if line.startswith("score:")))
    cell = next(c for c in run.diagnosis.cells if c["key"] == told[0].split()[1].rstrip(","))
    assert score is not None and float(score[1]) == pytest.approx(cell["identity"], abs=0.001)
    assert strip(run, None).size == (64 * 4 * 3, 64 * 3)
    with pytest.raises(SystemExit, match="no such picture"):
        list(lines(run, "w9.99_nowhere"))
