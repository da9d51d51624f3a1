"""Do trainers' own parsers read in patched configs what was meant?

    python -m benchmarks.own_parsers --clones DIR [--trainers sd-scripts ...] [--work build/own-parsers]

DIR holds clones of the trainers under their own names (sd-scripts, musubi-tuner, ai-toolkit, OneTrainer, SimpleTuner,
diffusers). Every style of config in tests/trainers, with every change on its own, is written to the disk and read by
the trainer's own code, in a process of its own inside the clone; libraries that only its training needs may be absent
(`parsers/absent.py`). A command in sh is taken apart by a real shell. A style that the trainer's parser refuses before
the patch as well is told, and not counted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.edits.command_edit import training
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.types import Change, ConfigFiles

PARSERS = Path(__file__).parent / "parsers"
TRAINERS = {  # clone -> module of lora_doctor.trainers and of tests.trainers, driver
    "sd-scripts": ("kohya", "sd_scripts"),
    "musubi-tuner": ("musubi", "musubi_tuner"),
    "diffusers": ("diffusers", "diffusers"),
    "ai-toolkit": ("ai_toolkit", "ai_toolkit"),
    "OneTrainer": ("onetrainer", "onetrainer"),
    "SimpleTuner": ("simpletuner", "simpletuner"),
}
PRINTS_ITS_ARGUMENTS = '#!/bin/sh\nfor one in "$@"; do printf "%s\\0" "$one"; done > "$ARGUMENTS"\n'


@dataclass(frozen=True)
class Case:
    """One config with one change, or none."""

    style: str
    field: str
    wanted: Any
    folder: Path
    config: ConfigFiles


def cases(name: str, work: Path) -> Iterator[Case]:
    """Every style with no change and with each."""
    trainer, tests = (
        importlib.import_module(f"{where}{name}") for where in ("lora_doctor.trainers.", "tests.trainers.test_")
    )
    styles = getattr(tests, "EDITABLE", tests.STYLES)
    for number, (style, config) in enumerate(styles.items()):
        for field, wanted in (("", None), *tests.CHANGES.items()):
            change = Change(field=field, before=None, after=wanted, rule="", because="")
            patched = trainer.patch(config, [change] if field else [])
            if patched.unsupported:
                continue
            folder = work / name / f"{number}-{field or 'as-it-is'}"
            moved = {path: folder / path.name for path in patched.texts}
            texts = trainer.relocated(ConfigFiles(path=config.path, texts=patched.texts), moved)
            here = {moved[path]: text for path, text in texts.items()}
            yield Case(style, field, wanted, folder, ConfigFiles(path=moved[config.path], texts=here))


def job(case: Case, whole: bool) -> dict[str, Any]:
    """The case on the disk, as a driver is told of it; `whole`: with the program's name."""
    case.folder.mkdir(parents=True, exist_ok=True)
    for path, text in case.config.texts.items():
        path.write_bytes(text.encode())
    path, words = case.config.path, list[str]()
    if path.suffix.lower() in SHELLS:
        read = training(path, case.config.text)
        words = [word.text for word in read.words] if read else []
        if path.suffix in (".sh", ".bash"):
            words = _of_a_shell(case)
        at = next(number for number, word in enumerate(words) if word.endswith(".py") or words[number - 1] == "-m")
        words = words[at if whole else at + 1 :]
    return {"config": str(path), "arguments": words}


def _of_a_shell(case: Case) -> list[str]:
    """What a real shell hands to the program."""
    tools = case.folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("accelerate", "python", "python3"):
        (tools / name).write_text(PRINTS_ITS_ARGUMENTS)
        (tools / name).chmod(0o755)
    told = case.folder / "arguments"
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "ARGUMENTS": str(told)}
    script = case.config.text.replace("\r\n", "\n").replace("cd /opt/sd-scripts &&", "")
    subprocess.run(["bash", "-c", script], env=environment, cwd=case.folder, check=False, capture_output=True)
    return told.read_text("utf-8").split("\0")[:-1]


def agrees(told: Any, wanted: Any) -> bool:
    """Whether the trainer has what was wanted, everywhere where it has the setting."""
    if isinstance(told, list):
        return bool(told) and all(agrees(one, wanted) for one in told)
    if isinstance(told, (int, float)) and isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        return math.isclose(told, wanted, rel_tol=1e-9)
    return bool(told == wanted)


def ask(clone: Path, driver: str, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trainer's answers; what it prints goes to standard error."""
    lines = "".join(json.dumps(one) + "\n" for one in jobs)
    path = str(PARSERS / f"ask_{driver}.py")
    start = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
    command = [sys.executable, "-P", "-c", start, str(PARSERS), path]
    done = subprocess.run(command, input=lines, cwd=clone, capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(jobs):
        raise SystemExit(f"{clone}: {done.stderr[-2000:]}")
    return answers


def compared(name: str, clone: Path, work: Path) -> Iterator[str]:
    """A row of the table, then a line for everything that is not as it was meant."""
    module, driver = TRAINERS[name]
    found = list(cases(module, work))
    answers = ask(clone.resolve(), driver, [job(case, driver == "diffusers") for case in found])
    base = {case.style: told for case, told in zip(found, answers, strict=True) if not case.field}
    refused = {style: told["refused"] for style, told in base.items() if "refused" in told}
    right, wrong, unread = 0, list[str](), 0
    for case, told in zip(found, answers, strict=True):
        if not case.field or case.style in refused:
            continue
        if "refused" not in told and case.field not in told:
            unread += 1
        elif "refused" not in told and agrees(told[case.field], case.wanted):
            right += 1
        else:
            wrong.append(
                f"- {name}, {case.style}, {case.field}: wanted {case.wanted}, read {told.get(case.field, told)}"
            )
    styles = len(base) - len(refused)
    yield f"| {name} | {styles} | {right + len(wrong)} | {right} | {len(refused)} |"
    yield from wrong
    yield from (f"- {name}, {style}: refused before the patch too: {why[:150]}" for style, why in refused.items())
    if not styles:
        yield f"- {name}: none of its styles is read as it is: a library that its parser needs may be absent"
    if unread:
        yield f"- {name}: {unread} changes are of settings that its parser does not have"


def main() -> None:
    """Print the table; exit 1 where something is read otherwise than it was meant, or nothing of a trainer at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clones", type=Path, required=True)
    parser.add_argument("--trainers", nargs="*", default=list(TRAINERS), choices=list(TRAINERS))
    parser.add_argument("--work", type=Path, default=Path("build/own-parsers"))
    asked = parser.parse_args()
    print("| trainer | styles | changes | read as meant | styles refused as they are |\n|---|---|---|---|---|")
    remarks, right = [], True
    for name in asked.trainers:
        row, *more = compared(name, asked.clones / name, asked.work.resolve())
        print(row, flush=True)
        remarks += more
        right &= not any("wanted" in one or "none of its styles" in one for one in more)
    print("", *remarks, sep="\n")
    raise SystemExit(0 if right else 1)


if __name__ == "__main__":
    main()
