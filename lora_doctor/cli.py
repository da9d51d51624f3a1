"""Command line: arguments in, text and exit code out; the only file that prints or exits."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from lora_doctor import __version__
from lora_doctor.errors import EnvironmentFailure, LoraDoctorError, UsageError, nearest, printable
from lora_doctor.plain_output import speak_plainly

if TYPE_CHECKING:
    from lora_doctor.retrain_hook import Hook
    from lora_doctor.retrain_plan import RetrainPlan
    from lora_doctor.retrain_rounds import Round
    from lora_doctor.types import Diagnosis

EXIT_OF = {"SHIP": 0, "HOLD": 1, "INCONCLUSIVE": 3}
EXIT_OF_CHOICE = {"ship": 0, "none": 1, "close": 3, "inconclusive": 3}
BUG = 70
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lora-doctor")
def cli() -> None:
    """The check-up a character LoRA passes before it is released.

    \b
    lora-doctor check yuki.safetensors        render, measure, judge; writes a report and says what to change
    lora-doctor inspect yuki.safetensors      the file alone, in a second or two: no base model, no dataset
    lora-doctor audit dataset                 the dataset alone, before or after training: roles, captions, pictures
    lora-doctor report yuki-checkup           judge and draw again, without a GPU
    lora-doctor gate yuki-checkup             the verdict as an exit code
    lora-doctor retrain yuki-checkup --config training.toml
                                              the prescription as a diff; --run trains and checks again
    lora-doctor compare epoch-*-checkup       versions side by side: which to ship, what got worse
    lora-doctor rules environment-lock        what a finding means, from its own file
    lora-doctor policy lint release.toml      what is wrong with a release policy; `policy show` prints one

    Settings stand in a lora-doctor.toml beside the model: trigger, dataset, base, training_config.

    \b
    Exit codes: 0 SHIP  1 HOLD  2 usage  3 INCONCLUSIVE  4 input refused  5 environment (run again: it resumes)
                6 folder busy  70 bug  130/143 stopped
    """


_as_json = click.option("--json", "as_json", is_flag=True, help="Print diagnosis.json on stdout and nothing else.")
_private = click.option(
    "--private/--public", default=None, help="Show training pictures and captions in the report (default: public)."
)
_rules = click.option("--rules", type=click.Path(path_type=Path), help="A rules folder of your own.")
_max_header = click.option(
    "--max-header", type=int, help="MiB of a LoRA file's header that are read at most (default: 6)."
)
_policy = click.option("--policy", help="standard, strict, lenient, or a TOML file of your own.")


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--dataset", type=click.Path(path_type=Path), help="What the LoRA was trained on: a folder, or a trainer's config."
)
@click.option("--trigger", help="The word that calls the character.")
@click.option("--base", help="A diffusers folder, a .safetensors checkpoint, or a hub id (owner/name@revision).")
@click.option("--memory", help="auto, full, tiled, offload or sequential: what the graphics card can hold.")
@click.option("--training-config", type=click.Path(path_type=Path), help="The training config, to be prescribed for.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder (default: <model>-checkup beside it).")
@click.option("--replicates", type=int, help="Exactly so many pictures per weight, environment and framing; one look.")
@click.option("--full", is_flag=True, default=None, help="Render every round, and look once, at the end.")
@click.option("--budget", type=int, help="Pictures at most; without it, rounds go on until the verdict is clear.")
@click.option(
    "--arms", help="Which arms are rendered beside the matrix, separated by commas (default: all), or `none`."
)
@click.option("--seed", type=int, help="Another seed renders other pictures.")
@click.option("--device", help="auto, cpu, cuda, cuda:1 ...")
@click.option(
    "--base-cache/--no-base-cache", default=None, help="Share weight-0 pictures among LoRAs of one base (default: do)."
)
@_max_header
@_policy
@_rules
@_private
@_as_json
def check(
    model: Path, as_json: bool, private: bool | None, rules: Path | None, policy: str | None, **given: Any
) -> None:
    """Check a LoRA: read it and its dataset, render the matrix, measure, judge, write the report.

    Killed at any moment, the same command goes on where it was. The run folder holds diagnosis.json and report.html.
    """
    from lora_doctor.checkup import run_checkup
    from lora_doctor.settings import load_settings

    matrix = {"replicates": given.pop("replicates"), "full": given.pop("full"), "budget": given.pop("budget")}
    matrix["most_replicates"], arms = matrix["replicates"], given.pop("arms")
    matrix["arms"] = arms if arms in (None, "none") else [name.strip() for name in arms.split(",")]
    overrides = given | {"matrix": matrix, "judge": {"policy": policy, "rules": _text(rules)}}
    overrides["report"] = {"private": private}
    settings = load_settings(model, _strings(overrides))
    with _bars(as_json) as progress:
        diagnosis = run_checkup(settings, progress, lambda sentence: click.echo(sentence, err=True))
    _conclude(diagnosis, settings.out, as_json)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@_policy
@_rules
@_private
@_as_json
def report(run: Path, as_json: bool, private: bool | None, rules: Path | None, policy: str | None) -> None:
    """Judge a finished run again (with other rules, say) and draw its report again; no GPU, seconds."""
    from lora_doctor.judgement import judge_run

    _conclude(judge_run(run, rules=rules, policy=policy, private=private), run, as_json)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="RUN", help="The run of an earlier release: no worse than it."
)
@_policy
@_rules
def gate(run: Path, against: Path | None, rules: Path | None, policy: str | None) -> None:
    """Print the verdict of a finished run and exit 0 (SHIP), 1 (HOLD) or 3 (INCONCLUSIVE).

    \b
    lora-doctor gate yuki-v2-checkup
    lora-doctor gate yuki-v2-checkup --against yuki-v1-checkup     what ships, and is worse than v1, exits with 1

    With --policy or --rules, or when a waiver has run out since, the run is judged anew; nothing in it is changed
    (`report` does that), and no GPU is needed. --against pairs the two on the prompts and seeds they share: worse is
    what is worse beyond the smallest effect that matters, with its whole interval; `compare` shows the rest.
    """
    from lora_doctor.judgement import gate_run
    from lora_doctor.terminal import verdict_lines

    verdict, worse = gate_run(run, rules=rules, policy=policy).verdict, tuple[str, ...]()
    if against is not None:
        from lora_doctor.regression import regressions

        worse = regressions(run, against, rules=rules, policy=policy)
    if verdict.outcome == "SHIP" and worse:
        click.echo("HOLD: by itself it could ship, and it falls back behind the earlier release.")
    else:
        click.echo(f"{verdict.outcome}: {verdict.sentence}")
    for line in (*worse, *verdict_lines(verdict)):
        click.echo(f"  {printable(line)}")
    sys.exit(EXIT_OF["HOLD" if verdict.outcome == "SHIP" and worse else verdict.outcome])


@cli.group("policy")
def policies() -> None:
    """Look at a release policy: one of the presets, or a TOML file that extends one."""


@policies.command("lint")
@click.argument("policy")
@click.option("--rules", "folder", type=click.Path(path_type=Path), help="The rules folder that it is for.")
def policy_lint(policy: str, folder: Path | None) -> None:
    """Say everything that is wrong with POLICY, a file or a preset, with its lines.

    Exits with 0 when there is nothing to say, 1 when it works but something is off, 2 when a check-up refuses it.
    """
    from lora_doctor.policy_page import lint

    lines, code = lint(policy, folder)
    for line in lines:
        click.echo(line)
    sys.exit(code)


@policies.command("show")
@click.argument("policy")
@click.option("--rules", "folder", type=click.Path(path_type=Path), help="The rules folder that it is for.")
def policy_show(policy: str, folder: Path | None) -> None:
    """Print POLICY, a file or a preset, with all that it extends: each key and where it comes from."""
    from lora_doctor.policy_page import show

    for line in show(policy, folder):
        click.echo(line)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--times", required=True, type=float, help="How many times as strong: 1.3, or 0.8 for weaker.")
@click.option("--out", type=click.Path(path_type=Path), help="The new file (default: <model>-x<times> beside it).")
def rescale(model: Path, times: float, out: Path | None) -> None:
    """Make a finished LoRA stronger or weaker, into a new file; nothing is trained.

    \b
    lora-doctor rescale yuki.safetensors --times 1.29
    lora-doctor check yuki-x1.29.safetensors

    What it drew at weight 1.29 it then draws at weight 1. For a LoRA that has its character at full weight and not yet
    at 0.7: a check-up that finds it so says how many times. The file itself is not changed.
    """
    from lora_doctor.lora_rescaling import rescale as rescaled

    written = rescaled(model, times, out or model.with_name(f"{model.stem}-x{times:g}.safetensors"))
    click.echo(f"wrote {printable(str(written))}")


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The training config to be changed.")
@click.option(
    "--write", type=click.Path(path_type=Path), help="Write the patched config (and captions) to this folder."
)
@click.option("--run", "train", is_flag=True, help="Train with it, check the new LoRA, print before and after.")
@click.option("--until-ship", is_flag=True, help="Again with what the new check-up prescribes, until it ships.")
@click.option("--max-rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Of --until-ship.")
@click.option("--yes", is_flag=True, help="Start the trainer without asking (needed where nobody can be asked).")
@click.option("--seed", type=int, help="Train with another seed.")
@click.option(
    "--most-replicates",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Rounds of pictures at most in the new LoRA's check-up, where its verdict is open; as before, if not given.",
)
@click.option(
    "--add", type=click.Path(path_type=Path), help="A folder of new pictures, those that the prescription asks for."
)
@click.option(
    "--mended",
    type=click.Path(path_type=Path),
    help="What `audit --fix` wrote for this dataset, as you have looked it through: captions, removals, repeats.",
)
def retrain(
    run: Path, config: Path, write: Path | None, train: bool, until_ship: bool, max_rounds: int, yes: bool,
    seed: int | None, most_replicates: int | None, add: Path | None, mended: Path | None,
) -> None:  # fmt: skip
    """Show what the prescription of RUN changes in a training config, as a diff; the config itself is never touched.

    \b
    lora-doctor retrain yuki-checkup --config args.toml               shows it
    lora-doctor retrain yuki-checkup --config args.toml --write new   saves it, with corrected captions
    lora-doctor retrain yuki-checkup --config args.toml --run         trains with it and checks the new LoRA
    lora-doctor retrain yuki-checkup --config args.toml --until-ship  the same, up to three rounds; keeps the best
    lora-doctor retrain ... --add new/ --mended mended/               with new pictures, and what `audit --fix` wrote

    --run starts sd-scripts, ai-toolkit, OneTrainer and SimpleTuner by the command their documentation names, or by
    yours: `[retrain]` in the lora-doctor.toml beside the config, with `folder` = where the trainer is, or
    `command` = a list such as ["python", "train.py", "{config}"]. No shell is involved. Stopped, the same command goes
    on: a training that ended well is not done again. Another one (another seed, new pictures) is never written over
    it: name another folder with --write.

    Before and after are compared on the same prompts and seeds; a round is kept only if its verdict is better, or
    something is and nothing is worse. Exits as `check` does, for the LoRA that is kept.
    """
    if train or until_ship:
        given = {"seed": seed, "most_replicates": most_replicates, "add": add, "mended": mended}
        sys.exit(_retrained(run, config, write or run / "retrained", max_rounds if until_ship else 1, yes, given))
    if most_replicates is not None:
        raise UsageError("--most-replicates is of the new LoRA's check-up: it needs --run or --until-ship.")
    from lora_doctor.retrain_prepare import prepare

    plan = prepare(run, config, seed=seed, add=add, mended=mended)
    _show_plan(plan)
    if write is None:
        click.echo("Nothing was written. --write DIR saves it, --run trains and checks again.")
        return
    for path in plan.write(write):
        click.echo(f"wrote {printable(str(path))}")


def _show_plan(plan: RetrainPlan) -> None:
    from lora_doctor.terminal import lines_shown

    for line in lines_shown(plan.patch.diff or "The training config needs no change."):
        click.echo(line)
    for line in (*plan.patch.unsupported, *plan.to_do):
        click.echo(f"  - {printable(line)}")


def _retrained(
    run: Path, config: Path, folder: Path, most: int, yes: bool, given: Mapping[str, Any]
) -> int:  # fmt: skip
    """Train, check, tell; the exit code of the LoRA that is kept."""
    from lora_doctor.checkup_page import before_and_after
    from lora_doctor.retrain_rounds import retrain_until_ship
    from lora_doctor.retraining import hook_for

    allowed = [yes]

    def announce(plan: RetrainPlan, place: Path) -> None:
        _show_plan(plan)
        hook = hook_for(plan, place)
        if hook is not None:
            _ask_for(hook, allowed[0])
            allowed[0] = True
        times = plan.rescales
        does = "trains" if times is None else f"makes the LoRA {times:g} times as strong and trains nothing,"
        click.echo(f"{does} in {printable(str(place))}")

    def ended(one: Round) -> None:
        for line in before_and_after(one.before, one.after):
            click.echo(line)
        click.echo(f"{'kept' if one.kept else 'not kept'}: {one.because}")
        if not one.kept:
            _name_pages(one)

    with _bars(False) as progress:
        done = retrain_until_ship(
            run, config, folder, most=most, **given, progress=progress, told=_trainer_says, announce=announce,
            ended=ended,
        )  # fmt: skip
    kept = "the LoRA there was" if done.best is None else printable(str(done.best.lora))
    click.echo(f"\n{done.after.verdict.outcome}: {kept}. {done.stopped}".rstrip())
    if done.best is not None:
        _name_pages(done.best)
    return EXIT_OF[done.after.verdict.outcome]


def _name_pages(one: Round) -> None:
    """The report of the new LoRA, and the page with the pictures of before and after."""
    from lora_doctor.retrain_rounds import COMPARED

    click.echo(f"report: {printable(str(one.run / 'report.html'))}")
    if one.comparison is not None:
        click.echo(f"before and after: {printable(str(one.config.parent / COMPARED / 'comparison.html'))}")


def _ask_for(hook: Hook, yes: bool) -> None:
    """Say what is started; raises UsageError or Abort where it is not wanted, or nobody can be asked."""

    folder, command, output = (printable(str(text)) for text in (hook.folder, hook.shown, hook.output))
    click.echo(f"starts in {folder}:\n  {command}\nand looks for the new LoRA in {output}")
    if yes:
        return
    if os.environ.get("CI") or not sys.stdin.isatty():
        raise UsageError("would start another program, and nobody can be asked.", advice="Add --yes if it is wanted.")
    click.confirm("Start it?", abort=True)


def _trainer_says(line: str, again: bool) -> None:
    """A line of a trainer's output; one that takes its own place again and again only where somebody is looking."""
    if sys.stderr.isatty():
        end = "\r" if again else "\n"
        sys.stderr.write(f"\r\x1b[2K{line[: get_terminal_size().columns - 1]}{end}")
        sys.stderr.flush()
    elif not again:
        click.echo(line, err=True)


@cli.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write comparison.json and comparison.html there.")
@_policy
@_rules
@click.option("--json", "as_json", is_flag=True, help="Print comparison.json on stdout and nothing else.")
def compare_runs(
    runs: tuple[Path, ...], out: Path | None, policy: str | None, rules: Path | None, as_json: bool
) -> None:
    """Compare finished runs of several versions of one character: which to ship, at which weight, what got worse.

    Paired, on the prompts and seeds that all of them share; the first run is what the others are held against.

    \b
    lora-doctor compare epoch-06-checkup epoch-08-checkup epoch-10-checkup
    lora-doctor compare *-checkup --out comparison      the same as a page that can be passed on

    Exits with 0 when one can be shipped, 1 when none can, 3 when it is too close to call or inconclusive.
    """
    from lora_doctor.comparison import to_json
    from lora_doctor.comparison_files import compare_folders, write
    from lora_doctor.comparison_page import page

    found, folders = compare_folders(runs, rules=rules, policy=policy)
    if as_json:
        click.echo(to_json(found).encode("utf-8", "backslashreplace"), nl=False)
    else:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        for part in page(found):
            console.print(part)
    for path in write(found, folders, out) if out is not None else ():
        click.echo(f"wrote {printable(str(path))}", err=as_json)
    sys.exit(EXIT_OF_CHOICE[found.choice.answer])


@cli.command("inspect")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--fast", is_flag=True, help="Spectra of some modules instead of all: about a second for any file.")
@click.option("--keys", is_flag=True, help="List every module, and every tensor that is not understood.")
@click.option("--rules", "folder", type=click.Path(path_type=Path), help="A folder of file rules of your own.")
@_max_header
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")
def inspect_files(
    files: tuple[Path, ...], fast: bool, keys: bool, folder: Path | None, max_header: int | None, as_json: bool
) -> None:
    """Look at LoRA files alone: family, trainer, ranks, scales, spectra, training settings, findings.

    Needs no base model, no dataset and no GPU. Several files are shown side by side.

    \b
    lora-doctor inspect yuki.safetensors
    lora-doctor inspect --fast checkpoints/*.safetensors
    lora-doctor inspect yuki.safetensors --json | jq '.[0].findings'

    Exits with 1 when a file has a confirmed blocker, such as NaN or missing halves.
    """
    from lora_doctor.inspection import inspect, to_plain
    from lora_doctor.inspection_page import page
    from lora_doctor.inspection_table import SideBySide

    found = [inspect(path, fast=fast, rules=folder, max_header=max_header) for path in files]
    if as_json:
        import json

        click.echo(json.dumps(to_plain(found), indent=1, allow_nan=False))
    else:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        for part in page(found[0], keys=keys) if len(found) == 1 else [SideBySide(found)]:
            console.print(part)
    sys.exit(int(any(each.blocked for each in found)))


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--trigger", help="The word that calls the character (default: as the config or the captions tell).")
@click.option("--spec", multiple=True, metavar="ATTRIBUTE=LABEL", help="What the character looks like; repeatable.")
@click.option("--role", "roles", multiple=True, metavar="GLOB=ROLE", help="Overrule: 'faces/*=identity-emphasis'.")
@click.option(
    "--resolution", type=click.IntRange(min=1), help="Pixels of the side trained at (default: as the config says)."
)
@click.option("--out", type=click.Path(path_type=Path), help="The run folder (default: <dataset>-audit beside it).")
@click.option("--fix", type=click.Path(path_type=Path), help="Write corrected captions and plans to this folder.")
@click.option(
    "--fail-on", type=click.Choice(["blocker", "warning", "never"]), default="blocker", show_default=True,
    help="Exit with 1 from which confirmed finding on.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 ...")
@click.option("--rules", "folder", type=click.Path(path_type=Path), help="A folder of dataset rules of your own.")
@click.option("--private", is_flag=True, help="Show training pictures, captions and file names in report and JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print audit.json on stdout and nothing else.")
def audit(
    dataset: Path, spec: tuple[str, ...], roles: tuple[str, ...], fix: Path | None, fail_on: str, as_json: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Audit a training dataset: roles and identity ratio, captions, pictures; says what the LoRA will suffer from.

    DATASET is a folder of pictures with captions, or the config of a trainer (kohya dataset TOML, ai-toolkit,
    OneTrainer, SimpleTuner, musubi-tuner ...), read with that trainer's habits. Needs no LoRA, no base model, no GPU;
    before training is when mending is cheapest.

    \b
    lora-doctor audit dataset/
    lora-doctor audit dataset.toml --private          the report shows the pictures, by role
    lora-doctor audit dataset/ --fix mended/          corrected captions, repeats plan, lists; with a diff

    Killed at any moment, the same command goes on where it was.
    """
    from lora_doctor.audit_page import page
    from lora_doctor.audit_settings import read_settings
    from lora_doctor.dataset_audit import REPORT, audit_dataset
    from lora_doctor.dataset_mending import plan_mending
    from lora_doctor.diagnosis import to_json

    settings = read_settings(dataset, spec=spec, roles=roles, **given)
    with _bars(as_json) as progress:
        found = audit_dataset(settings, progress)
    written = () if fix is None else plan_mending(found).write(fix)  # before a closed pipe can end it: `| head`
    if as_json:
        click.echo(to_json(found.record).encode("utf-8", "backslashreplace"), nl=False)
    else:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        for part in page(found):
            console.print(part)
    for path in written:
        click.echo(f"wrote {printable(str(path))}", err=as_json)
    if not as_json:
        click.echo(f"\nReport: {printable(str(settings.out / REPORT))}")
    failing = {"blocker": ("blocker",), "warning": ("blocker", "warning"), "never": ()}[fail_on]
    sys.exit(int(any(f.state == "confirmed" and f.severity in failing for f in found.findings)))


@cli.command()
@click.argument("rule", required=False)
@click.option("--rules", "folder", type=click.Path(path_type=Path), help="A rules folder of your own.")
def rules(rule: str | None, folder: Path | None) -> None:
    """List the rules, or print one as its own file says it."""
    from lora_doctor.plugins import data_folder
    from lora_doctor.rule_files import DATASET_RULES, FILE_RULES, load_rules

    where = folder or data_folder("rules")
    parts = [part for part in (where, where / FILE_RULES, where / DATASET_RULES) if part.is_dir()]
    known = [each for part in parts for each in load_rules(part)]
    if rule is None:
        for each in known:
            click.echo(f"{click.style(each.id, bold=True)}  [{each.severity}]\n    {' '.join(each.symptom.split())}")
        return
    if rule not in {each.id for each in known}:
        meant = nearest(rule, [each.id for each in known], "")
        advice = f"{meant} `lora-doctor rules` lists them.".lstrip()
        raise UsageError(f"there is no rule {rule!r}.", path=where, advice=advice)
    own = next(path for part in parts if (path := part / f"{rule}.yaml").is_file())
    click.echo(own.read_text("utf-8").rstrip())


# ---------------------------------------------------------------- shown


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _strings(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _strings(value) if isinstance(value, dict) else str(value) if isinstance(value, Path) else value
        for key, value in values.items()
    }


class _bars:
    """Progress bars on stderr: drawn when it is a terminal, a line per stage when not, nothing with --json."""

    def __init__(self, silent: bool) -> None:
        self._silent, self._tasks = silent, dict[str, Any]()
        self._bar: Any = None

    def __enter__(self) -> Callable[[str, int, int], None]:
        if not self._silent and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TextColumn("left:"),
                TimeRemainingColumn(),
            )  # fmt: skip
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
        return self._step

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _step(self, stage: str, done: int, total: int) -> None:
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, total=total, completed=done)
            self._bar.update(self._tasks[stage], completed=done, total=total)
        elif not self._silent and stage not in self._tasks:
            self._tasks[stage] = True
            click.echo(f"{stage} ({total})", err=True)


def _conclude(diagnosis: Diagnosis, folder: Path, as_json: bool) -> None:
    """Print the outcome and exit with its code."""
    from lora_doctor.checkup_page import page
    from lora_doctor.diagnosis import to_json
    from lora_doctor.judgement import REPORT

    if as_json:
        click.echo(to_json(diagnosis).encode("utf-8", "backslashreplace"), nl=False)
    else:
        for line in page(diagnosis):
            click.echo(line)
        click.echo(f"\nReport: {printable(str(folder / REPORT))}")
    sys.exit(EXIT_OF[diagnosis.verdict.outcome])


# ---------------------------------------------------------------- the way out


def main() -> None:
    """Console script: runs the command and turns expected errors into one line and their exit code."""
    signal.signal(signal.SIGTERM, _stopped)
    speak_plainly(sys.stdout, sys.stderr)
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    try:
        cli.main(standalone_mode=False, color=False if os.environ.get("NO_COLOR") else None)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except LoraDoctorError as error:
        _complain(str(error), error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.errno is None:  # not the system's: a library's own error under this name
            raise
        _complain(str(_refused_by_the_system(error)), EnvironmentFailure.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _complain("stopped; the same command goes on where it was.", 130)


def _refused_by_the_system(error: OSError) -> EnvironmentFailure:
    """What the system refused and why, where nobody nearer had a better word for it."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
    if error.errno == errno.ENOSPC:
        return EnvironmentFailure("no space left on the disk.", path=path, advice="Free some and run it again.")
    return EnvironmentFailure(f"{error.strerror}.", path=path, advice="Mend that and run the same command again.")


def _stopped(*_: object) -> None:
    click.echo("lora-doctor: stopped; the same command goes on where it was.", err=True)
    sys.exit(143)


def _complain(message: str, code: int) -> None:
    click.echo(f"lora-doctor: {message}", err=True)
    sys.exit(code)


def _bug(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    sys.__excepthook__(kind, error, trace)
    click.echo("lora-doctor: this is a bug in lora-doctor, not in your files; please report the lines above.", err=True)
    sys.stderr.flush()
    os._exit(BUG)


sys.excepthook = _bug


if __name__ == "__main__":
    main()
