"""The command line: bad input is one line and its exit code, and nothing half-written stays behind."""

import contextlib
import io
import json
import os
import pickle
import pty
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lora_doctor.cli import main
from lora_doctor.plugins import data_folder
from tests.make_finished_run import make_finished_run

PATIENT = data_folder("miniature").parent / "miniature" / "patients" / "yuki"


def doctor(*arguments):
    """`lora-doctor ARGUMENTS` through the console script's own function, in this process: torch is loaded once."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setenv("NO_COLOR", "1")
        patch.setattr(sys, "argv", ["lora-doctor", *map(str, arguments)])
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code
    signal.signal(signal.SIGTERM, handler)
    told = [(stream.flush(), stream.buffer.getvalue().decode())[1] for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, code or 0, *told)


def doctor_alone(*arguments, preexec_fn=None):
    """The same in a process of its own, where what it does to its process is the point."""
    return subprocess.run(
        [sys.executable, "-m", "lora_doctor", *map(str, arguments)],
        capture_output=True, text=True, preexec_fn=preexec_fn, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.fixture
def patient(tmp_path):
    """A private copy of the healthy patient, with a tiny matrix."""
    return small_patient(tmp_path / "yuki")


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """(patient, run folder, what the check-up answered): the same for all, never written to."""
    folder = small_patient(tmp_path_factory.mktemp("checked") / "yuki")
    result = doctor("check", folder / "lora.safetensors", "--out", folder.parent / "run", "--json")
    assert result.returncode in (0, 1, 3), result.stderr
    return folder, folder.parent / "run", result


def small_patient(folder):
    shutil.copytree(PATIENT, folder, ignore=shutil.ignore_patterns("*-checkup"))
    settings = (folder / "lora-doctor.toml").read_text()
    quick = """
[matrix]
replicates = 1
most_replicates = 1
weights = [0, 0.7, 1.0]
arms = ["no_trigger"]

[render]
steps = 2
"""
    (folder / "lora-doctor.toml").write_text(settings + quick)
    return folder


def refused(result, code, *words):
    """One line on stderr, no traceback, the right exit code."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("lora-doctor: ")]
    assert result.returncode == code, result.stderr
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert all(word in lines[0] for word in words), lines[0]


def left_behind(folder):
    return sorted(p.name for p in folder.rglob("*") if p.name in ("diagnosis.json", "report.html"))


def test_help_answers_quickly_and_names_every_exit_code():
    began = time.monotonic()
    result = doctor_alone("--help")
    assert time.monotonic() - began < 3  # 0.3 s alone; a loaded machine gets slack
    assert "0 SHIP  1 HOLD  2 usage  3 INCONCLUSIVE  4 input refused" in result.stdout


COMMANDS = ["check", "compare", "inspect", "audit", "report", "gate", "rescale", "retrain", "rules", "policy"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = doctor(command, "--help")
    assert result.returncode == 0 and len(result.stdout.splitlines()) > 5


def test_no_such_file(tmp_path):
    refused(doctor("check", tmp_path / "none.safetensors"), 4, "none.safetensors", "no such file")


def _text(path):
    path.write_text("not a LoRA\n" * 20)


def _pickle(path):
    path.write_bytes(pickle.dumps({"lora_A": list(range(99))}))


def _zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")


@pytest.mark.parametrize("make", [_text, _pickle, _zip])
def test_what_is_no_safetensors_file_is_refused(patient, make):
    make(patient / "lora.safetensors")
    refused(doctor("check", patient / "lora.safetensors"), 4, "lora.safetensors")
    assert not left_behind(patient)


def test_a_lora_of_another_family_is_refused_before_the_first_render(patient):
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    rng = np.random.default_rng(0)
    save_file(
        {f"{name}.lora_A.weight": rng.standard_normal((4, 768)).astype(np.float32),
         f"{name}.lora_B.weight": rng.standard_normal((640, 4)).astype(np.float32)},
        patient / "lora.safetensors",
    )  # fmt: skip
    refused(doctor("check", patient / "lora.safetensors"), 4, "lora.safetensors", "family")
    assert not list(patient.rglob("images/*.png"))


def test_an_empty_dataset_is_refused(patient):
    shutil.rmtree(patient / "dataset")
    (patient / "dataset").mkdir()
    refused(doctor("check", patient / "lora.safetensors"), 4, "dataset", "no pictures")


def test_a_dataset_without_faces_is_refused(patient):
    for picture in (patient / "dataset").glob("*.png"):
        Image.new("RGB", (64, 64), (120, 160, 200)).save(picture)
    refused(doctor("check", patient / "lora.safetensors"), 4, "dataset", "no face")
    assert not left_behind(patient)


def test_a_caption_that_is_not_utf8_is_refused_with_the_byte(patient):
    (patient / "dataset" / "03.txt").write_bytes(b"1girl, yuki_nk, " + b"\xff\xfe")
    refused(doctor("check", patient / "lora.safetensors"), 4, "03.txt", "offset 16")


def test_a_trigger_that_no_caption_holds_is_told_before_anything_is_rendered(patient):
    result = doctor("check", patient / "lora.safetensors", "--trigger", "yuki", "--budget", "30")
    refused(result, 2, "a budget of 30 pictures")
    assert "the trigger `yuki` stands in none of the dataset's captions; most of them say `yuki_nk`" in result.stderr


def test_a_truncated_picture_is_refused_by_name(patient):
    picture = patient / "dataset" / "05.png"
    picture.write_bytes(picture.read_bytes()[:200])
    refused(doctor("check", patient / "lora.safetensors"), 4, "05.png")


def test_an_unknown_key_is_refused_with_the_nearest_known_one(patient):
    with (patient / "lora-doctor.toml").open("a") as file:
        file.write("gidance = 3.0\n")
    refused(doctor("check", patient / "lora.safetensors"), 2, "lora-doctor.toml", "gidance", "guidance")


def test_a_full_disk_is_one_line_and_resumable(patient):
    def small_files():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    refused(doctor_alone("check", patient / "lora.safetensors", preexec_fn=small_files), 5, "resumes")
    assert not left_behind(patient)


@pytest.mark.miniature
def test_killed_at_any_moment_the_same_command_resumes_and_measures_the_same(checked, tmp_path):
    patient, _, whole = checked
    command = [
        sys.executable,
        "-m",
        "lora_doctor",
        "check",
        str(patient / "lora.safetensors"),
        "--out",
        str(tmp_path / "cut"),
    ]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    images = tmp_path / "cut" / "images"
    while process.poll() is None and len(list(images.glob("w*.png"))) < 10:
        time.sleep(0.02)
    process.kill()
    process.wait()
    rendered = {p.name: p.stat().st_mtime_ns for p in images.glob("w*.png")}
    assert 0 < len(rendered) < 45, "killed too late to show anything"
    again = doctor("check", patient / "lora.safetensors", "--out", tmp_path / "cut", "--json")
    kept = {name: (images / name).stat().st_mtime_ns for name in rendered}
    assert sum(kept[name] == rendered[name] for name in rendered) >= len(rendered) - 1
    one, other = json.loads(whole.stdout), json.loads(again.stdout)
    assert one["measurements"] == other["measurements"]
    assert one["verdict"] == other["verdict"]


@pytest.mark.miniature
def test_report_and_gate_need_no_torch(checked, tmp_path):
    out = shutil.copytree(checked[1], tmp_path / "run")
    code = (
        "import sys; from lora_doctor.judgement import judge_run; from pathlib import Path;"
        f"judge_run(Path({str(out)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
    assert doctor("gate", out).returncode == checked[2].returncode
    assert doctor("report", out).returncode == checked[2].returncode


@pytest.mark.miniature
def test_retrain_writes_a_copy_with_the_added_pictures_and_touches_nothing_else(checked, tmp_path):
    patient, out, new, written = checked[0], checked[1], tmp_path / "new", tmp_path / "retrained"
    new.mkdir()
    shutil.copy(PATIENT.parent / "echo" / "dataset" / "00.png", new / "shot.png")
    (new / "shot.txt").write_text("1girl, yuki_nk, full_body\n")
    before = {path: path.read_bytes() for path in patient.rglob("*") if path.is_file()}
    config = patient / "training.toml"
    result = doctor("retrain", out, "--config", config, "--add", new, "--write", written)
    assert result.returncode == 0, result.stderr
    assert (written / "dataset" / "added" / "shot.png").is_file()
    assert 'dataset = "dataset"' in (written / "training.toml").read_text()
    assert len(list((written / "dataset").rglob("*.png"))) == 1 + len(list((patient / "dataset").glob("*.png")))
    assert before == {path: path.read_bytes() for path in patient.rglob("*") if path.is_file()}
    refused(doctor("retrain", out, "--config", config, "--add", tmp_path / "nowhere"), 4, "nowhere")
    refused(doctor("retrain", out, "--config", config, "--most-replicates", 9), 2, "needs --run or --until-ship")
    args, data = tmp_path / "kohya" / "args.toml", tmp_path / "kohya" / "data.toml"
    args.parent.mkdir()
    args.write_text('dataset_config = "data.toml"\nnetwork_dim = 8  # small\nseed = 1\n')
    data.write_text(f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{patient / "dataset"}"\n')
    other = doctor("retrain", out, "--config", args, "--seed", 2, "--write", tmp_path / "again")
    assert other.returncode == 0, other.stderr
    assert "-seed = 1\n+seed = 2" in other.stdout and "network_dim = 8  # small" in args.read_text()
    assert str(tmp_path / "again" / "data.toml") in (tmp_path / "again" / "args.toml").read_text()
    refused(
        doctor("retrain", out, "--config", args, "--seed", 2, "--run", "--yes"),
        2,
        "args.toml",
        "sd-scripts",
        "folder = ",
    )


TRAINER = """
import sys, tomllib
from pathlib import Path
from safetensors.numpy import load_file, save_file

args = tomllib.loads(Path(sys.argv[1]).read_text())
subset = tomllib.loads(Path(args["dataset_config"]).read_text())["datasets"][0]["subsets"][0]
print("pictures", len(list(Path(subset["image_dir"]).glob("*.png"))), "rank", args["network_dim"])
tensors = load_file(sys.argv[2])
save_file({name: value * 0.5 if name.endswith("lora_B.weight") else value for name, value in tensors.items()},
          Path(args["output_dir"]) / "trained.safetensors")
"""
"""Instead of sd-scripts, which needs a graphics card: it reads what sd-scripts reads, and halves the LoRA."""


def test_a_retraining_shows_what_would_turn_letters_round_spelled_out(tmp_path):
    run = make_finished_run(tmp_path / "run", [])
    (tmp_path / "d").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "d" / "0.png")
    (tmp_path / "args.toml").write_text('train_data_dir = "d"\nnetwork_dim = 8 # \u202egnp\nseed = 1\n', "utf-8")
    assert doctor("report", run).returncode in (1, 3)
    shown = doctor("retrain", run, "--config", tmp_path / "args.toml", "--seed", 2)
    assert "+seed = 2" in shown.stdout and r"\u202egnp" in shown.stdout, shown.stderr
    assert "\u202e" not in shown.stdout


@pytest.mark.miniature
def test_another_trainer_is_started_checked_and_compared_and_not_started_twice(checked, tmp_path):
    patient, trainer, args = checked[0], tmp_path / "train.py", tmp_path / "args.toml"
    out = shutil.copytree(checked[1], tmp_path / "run")
    folders = f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{patient / "dataset"}"\n'
    (tmp_path / "data.toml").write_text(folders)
    args.write_text('dataset_config = "data.toml"\noutput_dir = "/nowhere"\nnetwork_dim = 8\nseed = 1\n')
    trainer.write_text(TRAINER)
    command = [sys.executable, str(trainer), "{config}", str(patient / "lora.safetensors")]
    (tmp_path / "lora-doctor.toml").write_text(f"[retrain]\ncommand = {json.dumps(command)}\n")
    asked = ("retrain", out, "--config", args, "--seed", 2, "--run")
    refused(doctor(*asked), 2, "--yes")
    assert not (out / "retrained").exists()
    before = (patient / "lora.safetensors").read_bytes()
    done = doctor(*asked, "--yes")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "pictures" in done.stderr and "identity at weight 1" in done.stdout
    report = (out / "retrained" / "lora-checkup" / "report.html").read_text("utf-8")
    assert 'id="before"' in report and "<s>1</s>" in report and "<span>now " in report
    assert "kept: " in done.stdout and (out / "retrained" / "before-and-after" / "comparison.html").is_file()
    new = out / "retrained" / "output" / "trained.safetensors"
    assert new.is_file() and (patient / "lora.safetensors").read_bytes() == before
    assert json.loads((out / "retrained" / "lora-checkup" / "diagnosis.json").read_text())["lora"]["name"] == new.name
    again = doctor(*asked, "--yes")
    assert again.returncode == done.returncode and "pictures" not in again.stderr


def test_gate_refuses_a_folder_that_is_no_run(tmp_path):
    refused(doctor("gate", tmp_path), 4, "diagnosis.json")


@pytest.mark.parametrize("command", [["check"], ["audit"], ["report"], ["gate"], ["compare"]])
def test_a_path_that_the_system_refuses_is_one_line(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctor(*command, "x" * 300)
    assert len(result.stderr.splitlines()) == 1 and result.returncode in (2, 4, 5), result.stderr
    assert "x" * 300 in result.stderr


def test_a_mending_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    shutil.copytree(PATIENT / "dataset", tmp_path / "set")
    for path in sorted((tmp_path / "set").iterdir())[6:]:
        path.unlink()
    result = doctor("audit", tmp_path / "set", "--fix", tmp_path / "file" / "mended")
    refused(result, 5, "mended", "Not a directory")


def test_policy_lint_exits_by_what_it_found_and_show_prints_where_keys_come_from(tmp_path):
    own = tmp_path / "mine.toml"
    for text, code, word in (("", 0, "nothing to say"), ("weights = [0.9]", 1, "note"), ("novl = 1", 2, "refused")):
        own.write_text(f'extends = "standard"\n{text}\n')
        result = doctor("policy", "lint", own)
        assert result.returncode == code and word in result.stdout
    refused(doctor("policy", "show", own), 2, "mine.toml:2", "Did you mean novel?")
    shown = doctor("policy", "show", "strict")
    assert shown.returncode == 0 and "novel = 3" in shown.stdout and "# strict.toml:" in shown.stdout


def test_rules_prints_a_rules_own_words():
    result = doctor("rules", "environment-lock")
    assert result.returncode == 0 and "caption_token_dropout" in result.stdout


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_honoured_on_a_terminal(no_color, coloured):
    """A terminal of its own: a pipe never has colours."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm", "NO_COLOR": no_color}
    with subprocess.Popen([sys.executable, "-m", "lora_doctor", "rules"], stdout=theirs, env=environment) as listing:
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # Linux's word for the end of a terminal
            while part := os.read(ours, 65536):
                told += part
    os.close(ours)
    assert listing.returncode == 0 and b"body-drift" in told and (b"\x1b[" in told) is coloured


def test_an_unknown_rule_names_the_nearest_and_not_all():
    result = doctor("rules", "enviroment-lock")
    refused(result, 2, "Did you mean environment-lock", "`lora-doctor rules` lists them.")
    assert "colour-cast" not in result.stderr


# ---------------------------------------------------------------- audit


def test_an_audit_tells_roles_and_findings_writes_its_report_and_fails_on_what_it_is_asked_to(tmp_path):
    shutil.copytree(PATIENT.parent / "misa" / "dataset", tmp_path / "misa")
    asked = ("audit", tmp_path / "misa", "--trigger", "misa_nk", "--fix", tmp_path / "mended", "--fail-on", "warning")
    result = doctor(*asked)
    assert result.returncode == 1 and "identity ratio" in result.stdout, result.stderr
    assert "few-environments" in result.stdout
    assert str(tmp_path / "misa-audit" / "audit.html") in result.stdout
    assert (tmp_path / "misa-audit" / "audit.html").is_file()
    assert (tmp_path / "mended" / "captions" / "00.txt").is_file()


def test_what_an_audit_mends_is_written_though_nobody_reads_to_the_end(tmp_path):
    """As behind `| head`: the pipe is closed after the first lines."""
    dataset, code = tmp_path / "set", "from lora_doctor.cli import main; main()"
    dataset.mkdir()
    for number in range(3):
        Image.new("RGB", (80, 80), (number, 0, 0)).save(dataset / f"{number}.png")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code, "audit", str(dataset), "--fix", str(tmp_path / "mended")]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    os.close(writing)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    assert (tmp_path / "mended" / "mending.md").is_file()


def test_an_audit_as_json_is_one_document_that_names_no_file_and_fails_on_nothing_unasked(tmp_path):
    shutil.copytree(PATIENT.parent / "misa" / "dataset", tmp_path / "misa")
    (tmp_path / "misa" / "00.txt").write_bytes(b"caf\xe9 \x92")
    result = doctor("audit", tmp_path / "misa", "--trigger", "misa_nk", "--json", "--fail-on", "never")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["dataset"]["images"] == 42
    assert "00.png" not in result.stdout
    assert str(tmp_path) not in result.stdout


def test_an_audit_shows_names_in_no_encoding_byte_by_byte(tmp_path):
    folder = tmp_path / os.fsdecode(b"mis\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes no such name")
    Image.new("RGB", (80, 80)).save(folder / "00.png")
    result = doctor("audit", folder, "--fix", tmp_path / os.fsdecode(b"mended\xff"), "--fail-on", "never")
    assert result.returncode == 0, result.stderr
    assert "wrote" in result.stdout and r"mended\xff/captions" in result.stdout
    assert r"Report: " in result.stdout and r"mis\xe9-audit" in result.stdout


def test_an_audit_of_nothing_is_refused_in_one_line(tmp_path):
    refused(doctor("audit", tmp_path / "none"), 4, "none")
    (tmp_path / "empty").mkdir()
    refused(doctor("audit", tmp_path / "empty"), 4, "empty")
    refused(doctor("audit", tmp_path / "empty", "--role", "a=b"), 2, "no role")
