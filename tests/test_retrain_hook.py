"""A new LoRA is proven to be new; a trainer that fails, or writes nothing, half a file or the old one, is one line."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lora_doctor.errors import EnvironmentFailure, InputRefused, LoraDoctorError, UsageError
from lora_doctor.retrain_hook import Hook, hook_of, train
from lora_doctor.safetensors_header import read_header
from lora_doctor.settings import RetrainSettings
from lora_doctor.training_note import NOTE
from tests.hostile_names import NAMES

NAME = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
WRITES = """
import pathlib, shutil, sys
output, made = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
shutil.copy(made, output / "yuki.safetensors")
"""


def lora(path: Path, value: float) -> Path:
    ones = np.ones((4, 8), "float32") * value
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{NAME}.lora_down.weight": ones, f"{NAME}.lora_up.weight": ones.T.copy(),
               f"{NAME}.alpha": np.array(4.0, "float32")}, path)  # fmt: skip
    return path


def sha(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


def hook(place: Path, code: str, made: Path, **more: object) -> Hook:
    config = place / "args.toml"
    place.mkdir(exist_ok=True)
    config.write_text("rank = 4\n")
    settings = RetrainSettings(command=(sys.executable, "-c", code, "{output}", str(made)), **more)  # type: ignore[arg-type]
    return hook_of(settings, "sd-scripts", "sdxl", configs=[config], dataset=place / "dataset", output=place / "output",
                   name="x")  # fmt: skip


def run(folder: Path, code: str, made: Path, old: str = "0" * 64) -> tuple[Path, list[str]]:
    said: list[str] = []
    return train(hook(folder, code, made), old, lambda line, again: said.append(line)), said


EMBEDS = """
import time
time.sleep(0.02)
(output / "yuki_emb.safetensors").write_bytes(pathlib.Path(str(made) + ".after").read_bytes())
"""


def test_an_embedding_that_is_written_after_the_lora_is_passed_over(tmp_path: Path) -> None:
    """diffusers' advanced scripts write `<name>_emb.safetensors` last, with --train_text_encoder_ti."""
    made = lora(tmp_path / "made.safetensors", 1.0)
    save_file({"clip_l": np.ones((2, 8), "float32")}, Path(f"{made}.after"))
    found, _ = run(tmp_path / "a", WRITES + EMBEDS, made)
    assert found.name == "yuki.safetensors"


@pytest.mark.parametrize("cut", [4, 40, -4], ids=["length", "header", "tensors"])
def test_a_damaged_file_that_is_written_last_is_refused_and_not_passed_over(tmp_path: Path, cut: int) -> None:
    made = lora(tmp_path / "made.safetensors", 1.0)
    Path(f"{made}.after").write_bytes(made.read_bytes()[:cut])
    with pytest.raises(InputRefused, match="is what the trainer wrote"):
        run(tmp_path / "a", WRITES + EMBEDS, made)


def test_embeddings_alone_are_no_lora(tmp_path: Path) -> None:
    made = tmp_path / "made.safetensors"
    save_file({"clip_l": np.ones((2, 8), "float32")}, made)
    with pytest.raises(InputRefused, match="holds no LoRA"):
        run(tmp_path / "a", WRITES, made)


def test_the_new_file_is_found_and_the_training_not_done_again(tmp_path: Path) -> None:
    made = lora(tmp_path / "made.safetensors", 1.0)
    found, said = run(tmp_path / "a", f"print('training'); {WRITES}", made)
    assert found == tmp_path / "a" / "output" / "yuki.safetensors" and said == ["training"]
    assert run(tmp_path / "a", f"print('training'); {WRITES}", made) == (found, [])


def another_config(folder: Path) -> None:
    (folder / "args.toml").write_text("rank = 8\n")


def another_caption(folder: Path) -> None:
    (folder / "dataset" / "a.txt").write_text("yuki, tall")


def another_picture(folder: Path) -> None:
    (folder / "dataset" / "b.png").write_bytes(b"new")


def another_table(folder: Path) -> None:
    (folder / "dataset" / "metadata.jsonl").write_text("{}")


@pytest.mark.parametrize("change", [another_config, another_caption, another_picture, another_table])
def test_another_training_is_neither_taken_for_the_first_nor_written_over_it(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    code, made = f"print('training'); {WRITES}", lora(tmp_path / "made.safetensors", 1.0)
    (tmp_path / "a" / "dataset").mkdir(parents=True)
    (tmp_path / "a" / "dataset" / "a.txt").write_text("yuki")
    found, _ = run(tmp_path / "a", code, made)
    asked, before = hook(tmp_path / "a", code, lora(made, 2.0)), sha(found)
    change(tmp_path / "a")
    with pytest.raises(UsageError, match=r"'output/yuki\.safetensors', which was trained with another config, dataset"):
        train(asked, "0" * 64, lambda line, again: None)
    assert sha(found) == before
    found.unlink()
    assert train(asked, "0" * 64, lambda line, again: None) == found and sha(found) == sha(made)


def test_another_command_is_another_training(tmp_path: Path) -> None:
    made = lora(tmp_path / "made.safetensors", 1.0)
    run(tmp_path / "a", WRITES, made)
    with pytest.raises(UsageError, match="another config, dataset or command"):
        run(tmp_path / "a", f"print('longer'); {WRITES}", made)


def test_a_new_lora_that_somebody_changed_is_not_written_over(tmp_path: Path) -> None:
    made = lora(tmp_path / "made.safetensors", 1.0)
    found, _ = run(tmp_path / "a", WRITES, made)
    before = sha(lora(found, 2.0))
    with pytest.raises(UsageError, match=r"'output/yuki\.safetensors', which was changed since it was trained"):
        run(tmp_path / "a", WRITES, made)
    assert sha(found) == before


def test_a_training_that_was_stopped_goes_on_among_the_files_it_has_left(tmp_path: Path) -> None:
    code = (
        WRITES.replace("shutil.copy", "was = any(output.iterdir())\nshutil.copy") + "raise SystemExit(0 if was else 3)"
    )
    made = lora(tmp_path / "made.safetensors", 1.0)
    with pytest.raises(EnvironmentFailure, match="exit code 3"):
        run(tmp_path / "a", code, made)
    assert run(tmp_path / "a", code, made)[0] == tmp_path / "a" / "output" / "yuki.safetensors"


def test_nothing_is_started_where_a_lora_or_a_log_of_somebodys_own_would_be_written_over(tmp_path: Path) -> None:
    made, code = lora(tmp_path / "made.safetensors", 1.0), f"print('training'); {WRITES}"
    mine = lora(tmp_path / "a" / "output" / "yuki" / "yuki.safetensors", 7.0)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "training.log").write_text("mine")
    for name, what in (
        ("a", r"'output/yuki/yuki\.safetensors', which lora-doctor did not train"),
        ("b", "training.log"),
    ):
        before = {path: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        with pytest.raises(UsageError, match=what):
            run(tmp_path / name, code, made)
        (tmp_path / name / "args.toml").unlink()
        assert {path: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()} == before
    assert mine.is_file()


def test_the_last_of_several_files_is_taken(tmp_path: Path) -> None:
    code = (
        WRITES
        + """
import os
shutil.copy(made, output / "yuki-000002.safetensors")
os.utime(output / "yuki-000002.safetensors", (1, 1))
"""
    )
    assert run(tmp_path / "a", code, lora(tmp_path / "made.safetensors", 1.0))[0].name == "yuki.safetensors"


COPY = "import sys, shutil; shutil.copy(sys.argv[2], sys.argv[1]"
FAILING = {
    "fails": ("raise SystemExit('CUDA out of memory')", EnvironmentFailure, "exit code 1; it said last: CUDA out of"),
    "writes nothing": ("pass", EnvironmentFailure, "ended well and wrote no new LoRA: no safetensors file is there"),
    "half a file": (WRITES + "p = output / 'yuki.safetensors'; p.write_bytes(p.read_bytes()[:-40])", InputRefused, ""),
    "an empty file": ("import sys; open(sys.argv[1] + '/x.safetensors', 'w').close()", InputRefused, ""),
    "a pickle": ("import sys, pickle; pickle.dump({}, open(sys.argv[1] + '/x.safetensors', 'wb'))", InputRefused, ""),
    "a checkpoint": ("import sys, numpy; from safetensors.numpy import save_file; "
                     "save_file({'m.weight': numpy.ones(9)}, sys.argv[1] + '/x.safetensors')", InputRefused, "no LoRA"),
    "a link": ("import sys, os; os.symlink(sys.argv[2], sys.argv[1] + '/x.safetensors')", EnvironmentFailure, "no new"),
    "elsewhere": (f"{COPY} + '/../x.safetensors')", EnvironmentFailure, "let it write to {output}"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAILING)
def test_a_trainer_that_does_not_do_its_work_is_one_line_and_can_be_run_again(what: str, tmp_path: Path) -> None:
    code, kind, said = FAILING[what]
    made = lora(tmp_path / "made.safetensors", 1.0)
    for _ in range(2):
        with pytest.raises(LoraDoctorError) as refused:
            run(tmp_path / "a", code, made)
        assert isinstance(refused.value, kind) and said in str(refused.value) and "\n" not in str(refused.value)
        assert "training.log" in str(refused.value)
        for path in (tmp_path / "a" / "output").iterdir():
            path.unlink()
    assert read_header(made).tensors
    assert run(tmp_path / "a", WRITES, made)[0].is_file()


def test_the_old_file_again_is_no_new_lora(tmp_path: Path) -> None:
    made = lora(tmp_path / "made.safetensors", 1.0)
    with pytest.raises(EnvironmentFailure, match="is the old LoRA, byte by byte"):
        run(tmp_path / "a", WRITES, made, old=sha(made))


def test_the_old_tensors_with_another_record_are_no_new_lora(tmp_path: Path) -> None:
    """sd-scripts writes when a training ended into every file."""
    old, again = lora(tmp_path / "old.safetensors", 1.0), tmp_path / "again.safetensors"
    save_file(load_file(old), again, {"ss_training_finished_at": "1764500000.0"})
    asked = hook(tmp_path / "a", WRITES, again)
    with pytest.raises(EnvironmentFailure, match="holds the tensors of the old LoRA"):
        train(asked, sha(old), lambda line, again: None, model=old)
    trained = lora(tmp_path / "trained.safetensors", 1.1)
    assert train(hook(tmp_path / "b", WRITES, trained), sha(old), lambda line, again: None, model=old).is_file()
    gone = tmp_path / "gone.safetensors"
    assert train(hook(tmp_path / "c", WRITES, trained), sha(old), lambda line, again: None, model=gone).is_file()


def test_a_file_that_a_stopped_training_left_and_is_as_it_was_is_no_new_lora(tmp_path: Path) -> None:
    code = "import pathlib, sys; assert any(pathlib.Path(sys.argv[1]).iterdir())"
    with pytest.raises(EnvironmentFailure, match="exit code 1"):
        run(tmp_path / "a", code, tmp_path / "x")
    lora(tmp_path / "a" / "output" / "before.safetensors", 1.0)
    with pytest.raises(EnvironmentFailure, match="1 safetensors files there are as they were"):
        run(tmp_path / "a", code, tmp_path / "x")


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    hanging = hook(tmp_path / "a", "import time; time.sleep(600)", tmp_path / "x", hours=0.001)
    with pytest.raises(EnvironmentFailure, match="was ended after"):
        train(hanging, "0" * 64, lambda line, again: None)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_reaches_the_trainer_as_one_argument(name: str, tmp_path: Path) -> None:
    """Of the run's folder, the config, the dataset and the LoRA at once."""
    folder = tmp_path / f"{name}-run"
    folder.mkdir()
    config, data, made = folder / f"{name}.toml", folder / name, lora(tmp_path / "made.safetensors", 1.0)
    config.touch()
    says = "import json, sys, shutil; print(json.dumps(sys.argv[1:]))"
    code = f"{says}; shutil.copy(sys.argv[5], sys.argv[3] + '/x.safetensors')"
    places = ("{config}", "{dataset}", "{output}", "{lora}")
    asked = RetrainSettings(command=(sys.executable, "-c", code, *places, str(made)))
    output = folder / "output"
    ready = hook_of(asked, "sd-scripts", "sdxl", configs=[config], dataset=data, output=output, name=name)
    train(ready, "0" * 64, lambda line, again: None)
    given = json.loads((folder / "training.log").read_text("utf-8"))
    assert given == [str(config), str(data), str(output), str(output / name), str(made)]
    expected = {folder, made, config, output, output / "x.safetensors"}
    assert set(tmp_path.rglob("*")) == expected | {folder / "training.log", folder / NOTE}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        hook(tmp_path / "a", "pass", tmp_path / "x", folder=tmp_path / "nowhere")
