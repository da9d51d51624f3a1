"""Policies: presets, files that extend them, and what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.policy import contradictions, load_policy, resolve_policy, unknown_rules
from lora_doctor.types import Waiver

FOLDER = Path(__file__).parents[1] / "rules"
STANDARD = load_policy(FOLDER, "standard")
WAIVER = '[[waivers]]\nrule = "body-drift"\nreason = "portraits only"\nexpires = 2027-03-01\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return str(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as refused:
        load_policy(FOLDER, written(folder, text))
    return str(refused.value)


@pytest.mark.parametrize("name", ["standard", "strict", "lenient"])
def test_every_preset_is_read_and_contradicts_itself_nowhere(name: str) -> None:
    assert load_policy(FOLDER, name).name == name


def test_a_file_of_the_users_says_only_what_differs(tmp_path: Path) -> None:
    policy = load_policy(FOLDER, written(tmp_path, 'extends = "standard"\nidentity_at_least = 0.7\n'))
    assert (policy.name, policy.extends, policy.identity_at_least) == ("mine", "standard", 0.7)
    assert policy.weights == STANDARD.weights and policy.bears == STANDARD.bears


def test_rule_levels_merge_and_waivers_add_up_over_what_is_extended(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    base = (FOLDER / "policies" / "standard.toml").read_text("utf-8")
    base += '[rules]\nhair-flip = "warn"\nbody-drift = "warn"\n' + WAIVER
    (tmp_path / "policies" / "house.toml").write_text(base, "utf-8")
    own = written(
        tmp_path, f'extends = "house"\n[rules]\nhair-flip = "fail"\n{WAIVER.replace("body-drift", "hair-flip")}'
    )
    policy = load_policy(tmp_path, own)
    assert policy.rules == {"hair-flip": "fail", "body-drift": "warn"}
    assert [waiver.rule for waiver in policy.waivers] == ["body-drift", "hair-flip"]


@pytest.mark.parametrize("day", ["2027-03-01", '"2027-03-01"'])
def test_a_waiver_has_its_reason_its_last_day_and_what_it_is_for(tmp_path: Path, day: str) -> None:
    more = 'lora = "9f2c41d0"\nwhere = { attribute = "hair_colour" }\n'
    text = f'extends = "standard"\n{WAIVER.replace("2027-03-01", day)}{more}'
    where = {"attribute": "hair_colour"}
    assert load_policy(FOLDER, written(tmp_path, text)).waivers == (
        Waiver(rule="body-drift", reason="portraits only", expires="2027-03-01", lora="9f2c41d0", where=where),
    )


def test_an_unknown_preset_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Choose one of: lenient, standard, strict"):
        load_policy(FOLDER, "standart")
    assert "mine.toml:2" in refusal(tmp_path, '# mine\nextends = "standart"\n')
    with pytest.raises(UsageError, match="no such file"):
        load_policy(FOLDER, "../policies/standard")


def test_a_policy_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / "policies" / f"{name}.toml").write_text(f'extends = "{other}"\n', "utf-8")
    with pytest.raises(UsageError, match="extends itself"):
        load_policy(tmp_path, "one")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("novl = 2", "novl: is not a key of a policy. Did you mean novel?"),
        ('suspected = "ship"', "suspected: is not a key of a policy"),
        ('novel = "two"', "novel: input should be a valid integer"),
        ("novel = ", "cannot be read as TOML"),
        ("identity_at_least = nan", "identity_at_least: input should be a finite number"),
        ('framings = ["fullbody"]', "Did you mean full_body?"),
        ("warn_identity_at_least = 0.5", "laxer than identity_at_least = 0.6"),
        ("warn_identity_at_least = 0.6", "the same as identity_at_least = 0.6"),
        ("warn_no_face_at_most = 0.2", "laxer than no_face_at_most = 0.15"),
        ("bears = 1.0", "bears: 1 is no share below 1"),
        ('rules = "fail"', "a table of rule = level"),
        ('rules = { hair-flip = "hold" }', "'fail', 'warn' or 'ignore'"),
        ('waivers = "hair-flip"', "tables headed [[waivers]]"),
    ],
)
def test_a_faulty_key_is_refused_with_its_file_and_line(tmp_path: Path, line: str, complaint: str) -> None:
    told = refusal(tmp_path, f'extends = "standard"\n\n{line}\n')
    assert complaint in told
    assert "mine.toml:3: " in told or "line 3" in told


@pytest.mark.parametrize(
    ("old", "new", "complaint", "line"),
    [
        ('reason = "portraits only"\n', "", "names its rule and its reason", 2),
        ("portraits only", " ", "names its rule and its reason", 4),
        ("portraits only", "\\u001b[2J", "a text of one line", 4),
        ("expires = 2027-03-01\n", "", "has a last day", 2),
        ("2027-03-01", "2027-03-01T10:00:00", "has a last day", 5),
        ("2027-03-01", '"next spring"', "has a last day", 5),
        ("expires", "expire", "Did you mean expires?", 5),
        ("[[waivers]]", '[[waivers]]\nlora = "9F2C41D0"', "SHA-256", 3),
        ("[[waivers]]", '[[waivers]]\nlora = "9f"', "SHA-256", 3),
    ],
)
def test_a_waiver_that_is_none_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, complaint: str, line: int
) -> None:
    assert old in WAIVER
    told = refusal(tmp_path, f'extends = "standard"\n{WAIVER.replace(old, new)}')
    assert complaint in told and f"mine.toml:{line}: " in told


def test_a_missing_key_is_refused_by_name(tmp_path: Path) -> None:
    text = (FOLDER / "policies" / "standard.toml").read_text("utf-8").replace("novel = 2", "")
    assert "novel: field required" in refusal(tmp_path, text)


def test_an_optional_rule_cannot_be_made_to_fail(tmp_path: Path) -> None:
    text = 'extends = "standard"\noptional_rules = ["hair-flip"]\n[rules]\nhair-flip = "fail"\n'
    assert "mine.toml:4: rules.hair-flip: is `fail` here and among optional_rules" in refusal(tmp_path, text)


def test_every_key_knows_where_it_comes_from(tmp_path: Path) -> None:
    text = f'extends = "strict"\nnovel = 1\n[rules]\nhair-flip = "warn"\n{WAIVER}'
    resolved = resolve_policy(FOLDER, written(tmp_path, text))
    assert resolved.at("novel").endswith("mine.toml:2")
    assert resolved.at("rules", "hair-flip").endswith("mine.toml:4")
    assert resolved.at("waivers", 0, "expires").endswith("mine.toml:8")
    assert resolved.at("bears").rpartition(":")[0].endswith("strict.toml")
    assert not list(contradictions(resolved.policy))


def test_rules_that_do_not_exist_and_demands_are_told_from_rules_that_do(tmp_path: Path) -> None:
    waivers = WAIVER.replace("body-drift", "body-drifts") + WAIVER.replace("body-drift", "identity_at_least") + WAIVER
    text = f'extends = "standard"\noptional_rules = ["hair"]\n[rules]\nhair-flap = "warn"\n{waivers}'
    found = dict(unknown_rules(load_policy(FOLDER, written(tmp_path, text)), ["hair-flip", "body-drift"]))
    assert set(found) == {("rules", "hair-flap"), ("optional_rules",), ("waivers", 0, "rule"), ("waivers", 1, "rule")}
    assert "Did you mean hair-flip?" in found["rules", "hair-flap"]
    assert "cannot be waived" in found["waivers", 1, "rule"]


def test_the_lenient_policy_passes_a_lora_that_only_holds_near_full_weight() -> None:
    """As its first line says; the others hold it."""
    levels = {
        name: load_policy(FOLDER, name).rules.get("low-weight-forgetting") for name in ("lenient", "standard", "strict")
    }
    assert levels["lenient"] == "warn" and levels["standard"] in (None, "fail") and levels["strict"] in (None, "fail")
