"""The laws of the layout, read off the syntax trees: who may import whom, what is heavy, who may print."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lora_doctor"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in FILES}
JOINERS = [
    "lora_doctor.inspection",
    "lora_doctor.inspection_page",
    "lora_doctor.inspection_table",
    "lora_doctor.base_identity",
    "lora_doctor.base_choice",
    "lora_doctor.identity_instruments",
    "lora_doctor.other_people",
    "lora_doctor.instrument_choice",
    "lora_doctor.instruments",
    "lora_doctor.dataset_layout",
    "lora_doctor.dataset_reading",
    "lora_doctor.dataset_audit",
    "lora_doctor.audit_settings",
    "lora_doctor.audit_page",
    "lora_doctor.dataset_mending",
    "lora_doctor.given_mending",
    "lora_doctor.judgement",
    "lora_doctor.policy_page",
    "lora_doctor.sequence",
    "lora_doctor.comparison_beside",
    "lora_doctor.comparison_samples",
    "lora_doctor.comparison",
    "lora_doctor.comparison_runs",
    "lora_doctor.comparison_page",
    "lora_doctor.comparison_report",
    "lora_doctor.comparison_files",
    "lora_doctor.regression",
    "lora_doctor.training_config",
    "lora_doctor.lora_rescaling",
    "lora_doctor.new_lora",
    "lora_doctor.training_note",
    "lora_doctor.retrain_hook",
    "lora_doctor.matrix_plan",
    "lora_doctor.run_fingerprint",
    "lora_doctor.facts",
    "lora_doctor.checkup",
    "lora_doctor.copy_check",
    "lora_doctor.retrain_plan",
    "lora_doctor.retrain_prepare",
    "lora_doctor.before_after",
    "lora_doctor.retraining",
    "lora_doctor.retrain_rounds",
    "lora_doctor.cli",
    "lora_doctor.__main__",
]
"""The files that may import any other, each of them only those before it."""
PARTS = {
    "lora_doctor.lora_file": {
        "lora_alpha",
        "lora_family",
        "lora_keys",
        "lora_kinds",
        "lora_peft_config",
        "lora_settings",
    },
    "lora_doctor.lora_peft_config": {"lora_alpha", "lora_keys"},
    "lora_doctor.policy": {"policy_file"},
    "lora_doctor.demands": {"looks", "measurement_book"},
    "lora_doctor.comparison_choice": {"measurement_book"},
    "lora_doctor.judgement": {"looks"},
    "lora_doctor.wording": {"looks"},
    "lora_doctor.verdict_words": {"demands", "looks", "measurement_book"},
    "lora_doctor.verdict": {"demands", "looks", "measurement_book", "verdict_words"},
    "lora_doctor.sequence": {"demands", "looks", "measurement_book"},
    "lora_doctor.checkup_page": {"dataset_lines"},
    "lora_doctor.rules": {"fix_size", "rule_conditions"},
    "lora_doctor.prescription": {"new_pictures", "present_training", "training_dose"},
    "lora_doctor.new_pictures": {"present_training"},
    "lora_doctor.rule_files": {"fix_size", "rule_conditions", "rule_yaml"},
    "lora_doctor.image_states": {"head_pose"},
    "lora_doctor.policy_lint": {"policy_file"},
    "lora_doctor.policy_page": {"policy_file"},
    "lora_doctor.safetensors_header": {"file_magic"},
    "lora_doctor.lora_family": {"lora_family_tables"},
    "lora_doctor.lora_base": {"lora_base_names"},
    "lora_doctor.settings": {"settings_toml", "settings_values"},
    "lora_doctor.dataset": {
        "dataset_names",
        "dataset_skips",
        "dataset_tree",
        "picture_files",
    },
    "lora_doctor.picture_files": {"picture_facts"},
    "lora_doctor.picture_facts": {"perceptual_hash", "picture_origin", "picture_text"},
    "lora_doctor.roles": {"role_geometry", "role_mixture"},
    "lora_doctor.role_mixture": {"role_geometry"},
    "lora_doctor.audits.bindings": {"visible"},
    "lora_doctor.audits.off_spec": {"visible"},
    "lora_doctor.audits.variety": {"effective_number", "visible"},
    "lora_doctor.audits.environments": {"effective_number", "visible"},
    "lora_doctor.audits.entanglement": {"association", "visible"},
    "lora_doctor.audits.identity_ratio": {"ratio_interval"},
    "lora_doctor.audits.people": {"face_clusters", "face_mixture", "face_shares"},
    "lora_doctor.dataset_people": {"face_clusters", "face_mixture", "face_shares", "head_pose"},
    "lora_doctor.face_clusters": {"face_halves", "face_mixture"},
    "lora_doctor.face_halves": {"face_mixture"},
    "lora_doctor.audits.face_sizes": {"face_shares"},
    "lora_doctor.audits.profiles": {"face_shares", "head_pose"},
    "lora_doctor.audits.bucket_crops": {"buckets", "trained_size"},
    "lora_doctor.audits.picture_files": {"trained_size"},
    "lora_doctor.audits.picture_sizes": {"trained_size"},
    "lora_doctor.audits.trained_resolution": {"trained_size"},
    "lora_doctor.run_folder": {"run_lock", "run_storage"},
    "lora_doctor.retrain_rounds": {"run_lock"},
    "lora_doctor.report": {"report_arms", "report_unmeasured"},
    "lora_doctor.comparison_files": {"run_storage"},
    "lora_doctor.before_after": {"run_storage"},
    "lora_doctor.lora_rescaling": {"lora_kinds", "lora_peft_config"},
    "lora_doctor.render": {"lora_merge", "memory", "render_lanes", "render_prompts", "round_trip"},
    "lora_doctor.base_models": {
        "base_classes",
        "base_folder",
        "base_scheduler",
        "base_single_file",
        "base_source",
        "memory",
        "render_defaults",
    },
    "lora_doctor.base_source": {"base_hub", "base_single_file"},
    "lora_doctor.base_hub": {"base_classes", "base_folder"},
    "lora_doctor.base_folder": {"base_classes"},
    "lora_doctor.base_scheduler": {"base_classes"},
    "lora_doctor.base_single_file": {"base_folder"},
    "lora_doctor.audits.lora_spectrum": {"singular_values", "untouched"},
    "lora_doctor.lora_merge": {"lora_delta", "lora_places"},
    "lora_doctor.training": {"caption_sampling", "training_files", "training_model", "training_plan"},
    "lora_doctor.training_model": {"training_plan"},
}
"""A leaf in several files: the file with the public functions, and the parts that only it is made of."""
SHARED = {
    "lora_doctor",
    "lora_doctor.base_digest",
    "lora_doctor.types",
    "lora_doctor.errors",
    "lora_doctor.dataset_people",
    "lora_doctor.devices",
    "lora_doctor.upright",
    "lora_doctor.captions",
    "lora_doctor.measurement_words",
    "lora_doctor.caption_bytes",
    "lora_doctor.caption_files",
    "lora_doctor.caption_source",
    "lora_doctor.named_places",
    "lora_doctor.grey_pictures",
    "lora_doctor.off_spec",
    "lora_doctor.onetrainer_parts",
    "lora_doctor.face_boxes",
    "lora_doctor.face_views",
    "lora_doctor.image_states",
    "lora_doctor.look_alikes",
    "lora_doctor.regular_file",
    "lora_doctor.caption_company",
    "lora_doctor.caption_words",
    "lora_doctor.caption_adjectives",
    "lora_doctor.caption_share",
    "lora_doctor.caption_groups",
    "lora_doctor.caption_mending",
    "lora_doctor.caption_weights",
    "lora_doctor.spelling",
    "lora_doctor.token_count",
    "lora_doctor.trigger",
    "lora_doctor.folder_repeats",
    "lora_doctor.edits.by_ending",
    "lora_doctor.edits.command_edit",
    "lora_doctor.edits.command_shells",
    "lora_doctor.edits.command_variables",
    "lora_doctor.edits.command_words",
    "lora_doctor.edits.edit",
    "lora_doctor.edits.toml_edit",
    "lora_doctor.trainer_yaml",
    "lora_doctor.unique_yaml",
    "lora_doctor.ratio_ways",
    "lora_doctor.repeats_plan",
    "lora_doctor.rival_labels",
    "lora_doctor.picture_rows",
    "lora_doctor.frequent_tokens",
    "lora_doctor.wording",
    "lora_doctor.album",
    "lora_doctor.article_band",
    "lora_doctor.atomic_files",
    "lora_doctor.charts",
    "lora_doctor.comparison_words",
    "lora_doctor.terminal",
    "lora_doctor.plugins",
    "lora_doctor.seeds",
    "lora_doctor.instrument_files",
    "lora_doctor.policy",
    "lora_doctor.effects",
    "lora_doctor.exact_shares",
    "lora_doctor.header_json",
    "lora_doctor.safetensors_header",
    "lora_doctor.safetensors_scan",
    "lora_doctor.safetensors_values",
    "lora_doctor.lora_tensors",
    "lora_doctor.lora_variants",
}
HEAVY = {
    "torch", "torchvision", "diffusers", "transformers", "peft", "open_clip", "insightface", "onnxruntime", "jinja2",
    "pydantic", "scipy", "sklearn", "cv2", "accelerate", "safetensors",
}  # fmt: skip
FORBIDDEN = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Dotted names of what the nodes import; `from a import b` gives `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def executed_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not function bodies, not `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from (inner for other in child.orelse for inner in ast.walk(other))
            continue
        yield child
        yield from executed_at_import(child)


KNOWN = set(NAMES.values()) | {name.removesuffix(".__init__") for name in NAMES.values()}


@cache
def own_modules(path: Path) -> set[str]:
    """The modules of lora_doctor that a file imports anywhere."""
    dotted = {name for name in imports(ast.walk(tree(path))) if name.partition(".")[0] == "lora_doctor"}
    return {name if name in KNOWN else name.rpartition(".")[0] for name in dotted}


def allowed(name: str) -> set[str]:
    parts = {f"lora_doctor.{part}" for part in PARTS.get(name, ())}
    folders = ("metrics", "recorded", "layouts", "arms", "edits", "trainers")
    family = {other for other in NAMES.values() for folder in folders
              if name.startswith(f"lora_doctor.{folder}.") and f".{folder}." in other}  # fmt: skip
    return SHARED | parts | family


def test_a_part_belongs_to_one_leaf() -> None:
    importers = {part: {name for path, name in NAMES.items() if f"lora_doctor.{part}" in own_modules(path)}
                 for parts in PARTS.values() for part in parts}  # fmt: skip
    for part, names in importers.items():
        assert names <= {name for name, parts in PARTS.items() if part in parts}


@pytest.mark.parametrize("path", FILES, ids=NAMES.values())
def test_a_leaf_imports_no_other_leaf(path: Path) -> None:
    name = NAMES[path]
    if name in JOINERS:
        assert not own_modules(path) & set(JOINERS[JOINERS.index(name) :])
    else:
        assert own_modules(path) <= allowed(name)


@pytest.mark.parametrize("path", FILES, ids=NAMES.values())
def test_heavy_libraries_are_imported_inside_functions(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(executed_at_import(tree(path)))} & HEAVY


@pytest.mark.parametrize("path", FILES, ids=NAMES.values())
def test_nothing_is_ever_unpickled(path: Path) -> None:
    whole = tree(path)
    assert not {name.partition(".")[0] for name in imports(ast.walk(whole))} & FORBIDDEN
    for call in (node for node in ast.walk(whole) if isinstance(node, ast.Call)):
        assert ast.unparse(call.func) != "torch.load"
        assert not any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in call.keywords)


@pytest.mark.parametrize("path", FILES, ids=NAMES.values())
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    if NAMES[path] not in ("lora_doctor.cli", "lora_doctor.__main__"):
        assert not calls & {"print", "exit", "quit", "sys.exit", "os._exit"}


@pytest.mark.parametrize("path", FILES, ids=NAMES.values())
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path))


LIGHT = [name for name in ("report", "lora_file") if (PACKAGE / f"{name}.py").exists()]


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_module_loads_nothing_heavy(name: str) -> None:
    code = f"import sys, lora_doctor.{name}; print(*{HEAVY!r} & {{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.skipif(not (PACKAGE / "cli.py").exists(), reason="there is no command line yet")
def test_help_loads_nothing_heavy() -> None:
    code = f"""
import atexit, sys
atexit.register(lambda: print("LOADED", *{HEAVY!r} & {{name.partition('.')[0] for name in sys.modules}}))
sys.argv = ["lora-doctor", "--help"]
from lora_doctor.cli import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].strip() == "LOADED"
