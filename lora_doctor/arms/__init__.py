"""Arms: pictures beside the matrix that ask something else of the LoRA, one file each.

An arm defines `plan(case: ArmCase) -> tuple[Cell, ...]`: its cells, of all rounds, made with `cells.like` so that they
share their seeds with the matrix and are paired with it. A file with `FOR_FINDINGS = True` is a probe: it is rendered
only once a rule that names it in `probes` has found its symptom.
"""
