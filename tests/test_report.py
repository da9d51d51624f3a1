"""The report is one file that loads nothing, hides nothing and believes nothing it is told."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image, PngImagePlugin

from lora_doctor.diagnosis import from_json, to_json
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.report import format_number, render_audit, render_report
from lora_doctor.sequence import Stop
from lora_doctor.types import Diagnosis, Measurement, Prescription, Verdict
from tests.in_browser import in_browser, needs_chromium
from tests.make_diagnosis import make_diagnosis
from tests.test_audit_page import audit_of, fused_audit

TEMPLATES = Path(__file__).parents[1] / "reports"


class Page(HTMLParser):
    """What a browser would make of the page: elements with their attributes, and the text a person reads."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._words: list[str] = []
        self._hidden = 0
        self.feed(html)
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and attribute names without any value: what no data may ever change."""
        return [(tag, tuple(sorted(attributes))) for tag, attributes in self.elements]


def draw(diagnosis: Diagnosis, run: Path | None = None, *, private: bool = False) -> str:
    return render_report(diagnosis, templates=TEMPLATES, run=run, private=private)


def embedded(html: str) -> list[bytes]:
    """Every picture of the page, decoded from its data URI."""
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/webp;base64,([^"]+)"', html)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def hold(run: Path) -> Diagnosis:
    return make_diagnosis(run, "HOLD", private=True)


@pytest.fixture(scope="module")
def html(hold: Diagnosis, run: Path) -> str:
    return draw(hold, run)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


# ---------------------------------------------------------------- one file, no network


def test_nothing_is_loaded_from_anywhere(page: Page, html: str) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data", "xlink:href"):
            assert re.match(r"data:|#|$", attributes.get(name, "")), (tag, attributes)
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
    assert not re.search(r"url\(|@import|https?://", html)


def test_the_policy_allows_this_style_and_this_script_only(page: Page, html: str) -> None:
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_script_and_the_templates_keep_to_the_rules() -> None:
    script = (TEMPLATES / "report.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|fetch|XMLHttp|import", script)
    for template in TEMPLATES.glob("*.j2"):
        text = template.read_text()
        assert not re.search(r"\|\s*safe|autoescape|=\{\{", text), template.name


def test_equal_input_gives_equal_bytes(hold: Diagnosis, run: Path, html: str) -> None:
    assert draw(from_json(to_json(hold)), run) == html


def test_a_report_of_180_pictures_stays_small(html: str, hold: Diagnosis) -> None:
    assert len(hold.cells) == 180
    assert len(html) < 1_500_000


# ---------------------------------------------------------------- hostile input

PAYLOADS = (
    "<script>alert(1)</script>",
    "</title></style></script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)' x='",
    '<meta http-equiv="refresh" content="0;url=//example.org">',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "--><!-- ]]> &lt;b&gt; &#60;",
)  # fmt: skip
_OURS = re.compile(r"SHIP|HOLD|confirmed|suspected|blocker|warning|note|images/.*|dataset/.*|ship|score|share|count|")


def poison(value: Any, payload: str, *, keys: bool = False) -> Any:
    """The JSON tree with `payload` behind every text that is not one of our own words, and behind every free name."""
    if isinstance(value, str):
        return value if _OURS.fullmatch(value) else value + payload
    if isinstance(value, list):
        return [poison(part, payload) for part in value]
    if isinstance(value, dict):
        free = ("spec", "labels", "versions", "inputs", "instruments", "framings", "environments", "timings", "prompts")
        return {
            name + payload * keys: poison(part, payload, keys=name in free and isinstance(part, dict))
            for name, part in value.items()
        }
    return value


def poisoned_page(diagnosis: Diagnosis, payload: str) -> Page:
    return Page(draw(from_json(json.dumps(poison(json.loads(to_json(diagnosis)), payload))), private=True))


@pytest.fixture(scope="module")
def harmless(hold: Diagnosis) -> Page:
    return poisoned_page(hold, "x")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_markup(hold: Diagnosis, harmless: Page, payload: str) -> None:
    poisoned = poisoned_page(hold, payload)
    assert poisoned.shape == harmless.shape
    assert hold.verdict.sentence + payload in poisoned.text
    assert any(payload in attributes.get("data-environment", "") for attributes in poisoned.all("div"))
    for link in poisoned.all("a"):
        assert link["href"].startswith("#")


def test_invisible_characters_are_spelled_out(hold: Diagnosis) -> None:
    verdict = replace(hold.verdict, sentence="safe\u202egnp\u200b.\x1b[31m\udcff")
    html = draw(replace(hold, verdict=verdict))
    html.encode("utf-8")
    assert r"safe\u202egnp\u200b.\u001b[31m\udcff" in html


def test_what_stands_between_backticks_is_code_and_nothing_else(hold: Diagnosis) -> None:
    verdict = replace(hold.verdict, limits=("only with `a = <b>true</b>` <i>there</i>, or ` alone",))
    html = draw(replace(hold, verdict=verdict))
    assert "only with <code>a = &lt;b&gt;true&lt;/b&gt;</code> &lt;i&gt;there&lt;/i&gt;, or ` alone" in html


def cell_with_image(hold: Diagnosis, name: str) -> Diagnosis:
    return replace(hold, findings=(), cells=(dict(hold.cells[0]) | {"image": name},))


@pytest.mark.parametrize("name", ["../secret.png", "{outside}", "images/link.png", "images", "images/\0.png", ""])
def test_a_picture_outside_the_run_folder_is_not_shown(hold: Diagnosis, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(outside)
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "link.png").symlink_to(outside)
    html = draw(cell_with_image(hold, name.replace("{outside}", str(outside))), folder)
    assert embedded(html) == []
    assert "no picture" in Page(html).text


@pytest.mark.parametrize(
    "content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a" + b"\0" * 30]
)
def test_a_broken_picture_is_shown_as_missing(hold: Diagnosis, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    assert embedded(draw(cell_with_image(hold, "broken.png"), tmp_path)) == []


def test_pictures_lose_their_metadata_and_big_ones_their_size(hold: Diagnosis, tmp_path: Path) -> None:
    canary, notes, exif = "/home/ana/secret", PngImagePlugin.PngInfo(), Image.Exif()
    notes.add_text("parameters", canary)
    exif[0x010E] = canary
    Image.effect_noise((900, 600), 80).convert("RGB").save(tmp_path / "big.png", pnginfo=notes, exif=exif)
    (first, *_) = embedded(draw(cell_with_image(hold, "big.png"), tmp_path))
    picture = Image.open(io.BytesIO(first))
    assert picture.size == (256, 171)
    assert canary.encode() not in first and not picture.getexif()


def test_small_pictures_are_embedded_pixel_for_pixel(hold: Diagnosis, run: Path) -> None:
    name = hold.cells[0]["image"]
    (first, *_) = embedded(draw(cell_with_image(hold, name), run))
    assert Image.open(io.BytesIO(first)).convert("RGB").tobytes() == Image.open(run / name).convert("RGB").tobytes()


def test_a_cell_without_its_place_is_refused(hold: Diagnosis) -> None:
    for name in ("key", "weight", "environment", "framing"):
        cell = {key: value for key, value in hold.cells[0].items() if key != name}
        with pytest.raises(InputRefused):
            draw(replace(hold, cells=(cell,)))


def test_missing_templates_are_named(hold: Diagnosis, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=tmp_path.name):
        render_report(hold, templates=tmp_path, run=None, private=False)


# ---------------------------------------------------------------- privacy


def test_a_public_report_holds_no_training_picture_and_no_caption(hold: Diagnosis, run: Path, html: str) -> None:
    training = {Image.open(run / p["file"]).convert("RGB").tobytes() for p in hold.dataset["pictures"]}
    shown = {Image.open(io.BytesIO(data)).convert("RGB").tobytes() for data in embedded(html)}
    assert len(training) == 40 and not training & shown
    assert hold.dataset["pictures"][0]["caption"] not in html
    assert "Private report" not in html


def test_a_private_report_shows_them_and_says_so(hold: Diagnosis, run: Path) -> None:
    html = draw(hold, run, private=True)
    training = {Image.open(run / p["file"]).convert("RGB").tobytes() for p in hold.dataset["pictures"]}
    shown = {Image.open(io.BytesIO(data)).convert("RGB").tobytes() for data in embedded(html)}
    assert training <= shown
    assert Page(html).text.count("Private report: contains training pictures.") == 2
    assert hold.dataset["pictures"][0]["caption"] in html


# ---------------------------------------------------------------- what it says


def test_the_verdict_comes_first_then_findings_prescription_matrix(page: Page) -> None:
    sections = [attributes["id"] for attributes in page.all("section")]
    expected = ["verdict", "findings", "prescription", "matrix", "measured", "dataset", "unknown", "method"]
    assert sections == expected
    assert page.text.index("HOLD") < page.text.index("Do not ship yet") < page.text.index("Change first")


def test_findings_say_their_numbers_with_intervals_in_words(page: Page) -> None:
    assert "Body off-spec in full body 78 % between 66 % and 90 % with 90 % confidence" in page.text
    assert "Hair colour flips to another label 12 %" in page.text
    assert "Set identity_ratio to at most 0.25" in page.text
    assert "add in-context pictures in full body until they are 50 % of the set" in page.text


def test_a_part_of_a_finding_that_was_not_measured_says_why_and_is_no_exact_value(hold: Diagnosis, run: Path) -> None:
    (drift,) = (finding for finding in hold.findings if finding.rule == "body_drifts")
    blank = replace(drift.measurements[0], value=None, interval=None, reason="the spec names no body")
    page = Page(draw(replace(hold, findings=(replace(drift, measurements=(blank,)),)), run))
    assert "Identity at ship weights, in full body not measured: the spec names no body Seen" in page.text


def test_the_prescription_goes_from_before_to_after(page: Page) -> None:
    assert "identity_ratio 0.95 → 0.25 Measured 0.95" in page.text
    assert "negative_tokens not set → black_hair , purple_hair" in page.text


def test_every_reason_for_a_missing_value_is_a_line(hold: Diagnosis, page: Page) -> None:
    reasons = [m.reason for m in hold.measurements if m.value is None]
    reasons += [item.reason for item in hold.not_evaluated] + list(hold.warnings)
    reasons += [cell["reason"] for cell in hold.cells if cell["image"] is None]
    assert len(reasons) >= 8
    for reason in reasons:
        assert reason and reason in page.text


def test_without_javascript_every_square_is_there_with_its_score(hold: Diagnosis, page: Page, html: str) -> None:
    squares = [attributes for attributes in page.all("div") if attributes.get("class") == "square"]
    assert len({(s["data-weight"], s["data-environment"], s["data-framing"]) for s in squares}) == 6 * 5 * 3
    scores = re.findall(r'<p class="score [^"]+"><b>([^<]+)</b>', html)
    assert len(scores) == 90 and all(re.fullmatch(r"−?\d\.\d\d|–", score) for score in scores)
    assert len(page.all("figcaption")) >= len(hold.cells)


def test_each_square_shows_the_mean_of_its_pictures(hold: Diagnosis, html: str) -> None:
    here = [c for c in hold.cells if (c["weight"], c["environment"], c["framing"]) == (1.0, "beach", "close-up")]
    (place,) = re.findall(
        r'data-weight="1" data-environment="beach" data-framing="close-up">(.*?)</p>', html, re.DOTALL
    )
    assert f"<b>{(here[0]['identity'] + here[1]['identity']) / 2:.2f}</b>" in place


def test_the_chart_has_a_line_for_all_and_one_for_each_framing(html: str) -> None:
    (chart,) = re.findall(r'<figure class="chart">(.*?)</svg>', html, re.DOTALL)
    lines = re.findall(r'<polyline points="([^"]+)"', chart)
    assert [len(points.split()) for points in lines] == [6, 6, 6, 6]
    assert len(re.findall(r'class="band"', chart)) == 1
    heights = sorted(float(y) for y in re.findall(r'<text x="585" y="([\d.]+)"', chart))
    assert min(b - a for a, b in pairwise(heights)) > 24
    assert "ship line 0.60" in chart


def test_the_page_can_be_read_by_everyone(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(image.get("alt") for image in page.all("img"))
    assert all(header.get("scope") for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"][1:] in ids


def test_a_ship_has_no_findings_and_says_what_it_covers(run: Path) -> None:
    page = Page(draw(make_diagnosis(run, "SHIP", images=False)))
    assert "No rule that could be judged found a symptom; 1 could not be judged" in page.text
    assert "What it covers" in page.text and "No change is prescribed." in page.text


def test_a_diagnosis_of_almost_nothing_still_makes_a_page(hold: Diagnosis) -> None:
    empty: dict[str, Any] = {}
    bare = replace(
        hold, lora=empty, character=empty, instruments=empty, matrix=empty, cells=(), dataset=empty, measurements=(),
        findings=(), not_evaluated=(), prescription=Prescription(), warnings=(), timings={}, inputs={}, versions={},
        verdict=Verdict(outcome="INCONCLUSIVE", sentence="No face was found in the dataset."),
    )  # fmt: skip
    page = Page(draw(bare))
    assert "INCONCLUSIVE" in page.text and "Identity was not measured at any weight" in page.text


@pytest.mark.parametrize(("family", "validated"), [("miniature", True), ("sdxl", False)])
def test_the_page_says_where_the_method_was_tested(hold: Diagnosis, family: str, validated: bool) -> None:
    page = Page(draw(replace(hold, cells=(), lora={"name": "yuki", "family": family})))
    assert ("have not been validated" in page.text) is not validated


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.6249, "share", "62\u202f%"),
        (0.004, "share", "0.4\u202f%"),
        (-0.004, "score", "0.00"),
        (-0.04, "score", "−0.04"),
        (0.825, "score", "0.82"),
        (12345, "count", "12\u202f345"),
        (0.0001, "", "0.0001"),
        (0.9789, "ratio", "0.98"),
        (-0.0829, "similarity", "−0.08"),
        (0.0093, "similarity", "0.01"),
        (2.4, "", "2.40"),
        (71.44, "", "71.4"),
        (20, "", "20"),
        (None, "share", "–"),
        ("<b>", "score", "<b>"),
        (float("nan"), "score", "nan"),
    ],
)
def test_numbers_have_one_format(value: Any, unit: str, text: str) -> None:
    assert format_number(value, unit) == text


def test_a_picture_under_a_finding_says_which_framing_and_place_it_is_read_as(hold: Diagnosis) -> None:
    key = hold.findings[0].cells[0]
    read = {"framing": "upper_body", "environment": "classroom"}
    cells = [{**c, "labels": {**c["labels"], **read}} if c["key"] == key else c for c in hold.cells]
    text = Page(draw(replace(hold, cells=tuple(cells)))).text
    assert "✕ read as upper body" in text and "✕ read as classroom" in text
    assert "✕ read as" not in Page(draw(hold)).text


def test_what_is_undecided_stands_apart_from_what_is_proven(hold: Diagnosis) -> None:
    verdict = replace(hold.verdict, reasons=("the body drifts", "too close to call"), proven=1)
    text = Page(draw(replace(hold, verdict=verdict))).text
    assert "Why this verdict the body drifts Undecided as yet too close to call" in text


def test_an_open_verdict_says_what_renders_more(hold: Diagnosis) -> None:
    rounds = {"looks": [2, 8], "bound": 2.6, "at_most": 8, "stopped": "all rounds"}
    verdict = replace(hold.verdict, outcome="INCONCLUSIVE", reasons=("too close to call",), proven=0)
    still_open = replace(hold, verdict=verdict, matrix={**hold.matrix, "rounds": rounds})
    assert "More pictures may decide it: with most_replicates = 12 under [matrix]" in Page(draw(still_open)).text
    assert "More pictures may decide it" not in Page(draw(hold)).text


@pytest.mark.parametrize("stopped", get_args(Stop))
def test_why_the_rendering_ended_is_a_sentence_of_the_report(hold: Diagnosis, stopped: str) -> None:
    rounds = {"looks": [2, 8], "bound": 2.6, "at_most": 8, "stopped": stopped}
    text = Page(draw(replace(hold, matrix={**hold.matrix, "rounds": rounds}))).text
    assert "standard errors. It ended " in text


def test_a_number_stands_beside_the_limit_of_its_rule(hold: Diagnosis) -> None:
    drift = replace(hold.findings[0], limits=({"below": 0.6}, {"above": 0.15}))
    text = Page(draw(replace(hold, findings=(drift,), dataset_findings=(drift,)))).text
    assert text.count("the rule's limit: below 0.60") == 2 and text.count("the rule's limit: above 15 %") == 2


def test_a_fix_that_is_met_says_so(hold: Diagnosis) -> None:
    (cause, *_), drift = hold.findings[0].causes, hold.findings[0]
    met = replace(drift, causes=(replace(cause, met=("identity_ratio",)),))
    assert "to at most 0.25 : is so already" in Page(draw(replace(hold, findings=(met,)))).text
    assert "is so already" not in Page(draw(hold)).text


def test_how_often_a_trait_is_read_right_stands_with_the_number_of_pictures(hold: Diagnosis) -> None:
    rare = [replace(m, value=1.0, n=1) if m.name == "attribute.sensitivity" else m for m in hold.measurements]
    assert "32 % 100 % of 1 " in Page(draw(replace(hold, measurements=tuple(rare)))).text


def test_what_is_not_known_is_a_row_for_each_reason(hold: Diagnosis) -> None:
    few = {framing: f"cannot measure the body in {framing}" for framing in ("upper_body", "full_body")}
    blank = [
        Measurement(name=f"body.{part}", value=None, where={"framing": framing}, reason=why)
        for part in ("floor", "ceiling", "score") for framing, why in few.items()
    ]  # fmt: skip
    both = "; ".join(few.values())
    blank += [
        Measurement(name="body.score", value=None, where={"weight": "0.7", "environment": name}, reason=both)
        for name in ("beach", "snow")
    ]
    blank += [
        Measurement(name="captions.identity_token_coverage", value=None, where={"attribute": name}, reason="no caption")
        for name in ("hair_colour", "eye_colour")
    ]
    blank.append(
        Measurement(name="captions.token_visible_share", value=None, where={"token": "token 1"}, reason="no label set")
    )
    text = Page(draw(replace(hold, measurements=tuple(blank), not_evaluated=(), warnings=()))).text
    for why in few.values():
        assert text.count(why) == 1
    assert both not in text and "in beach" not in text.partition("What is not known")[2].partition("Method")[0]
    assert "captions.identity_token_coverage no caption hair colour; eye colour" in text
    assert "Captions that name the attribute captions" in text
    assert "no label set token 1" in text and "Likeness of the body body.score" in text


def test_the_size_of_the_file_has_its_unit(hold: Diagnosis) -> None:
    assert "LoRA size 5.43 MB" in Page(draw(replace(hold, lora={**hold.lora, "size": 5426744}))).text


def test_the_matrix_says_what_its_words_mean(page: Page) -> None:
    assert "held a face that is at or above the ship line drift a face below it no face none was found" in page.text


@pytest.mark.parametrize(
    ("name", "n", "environments", "told"),
    [
        ("identity.score", 30, 5, ", from 30 seeds in 5 environments"),
        ("identity.score", 1, 1, ", from 1 seed in 1 environment"),
        ("identity.score", 30, 0, ", from 30 seeds"), ("attribute.sensitivity", 42, 0, ", from 42 pictures"),
        ("dataset.identity_ratio", 1, 0, ", from 1 picture"), ("spectrum.rank", 117, 0, ", from 117 modules"),
        ("training.rank", 1, 0, "with 90 % confidence"),
    ],
)  # fmt: skip
def test_a_number_says_what_it_comes_from(hold: Diagnosis, name: str, n: int, environments: int, told: str) -> None:
    made = Measurement(name=name, value=0.5, unit="share", n=n, environments=environments, interval=(0.4, 0.6))
    text = Page(draw(replace(hold, findings=(replace(hold.findings[0], measurements=(made,)),)))).text
    (how,) = re.findall(r"between 40 % and 60 % (with 90 % confidence.*?) Seen", text)
    assert how.endswith(told)


def test_a_cause_is_called_the_likeliest_only_where_it_is_likelier_than_not(hold: Diagnosis) -> None:
    """Beside a file's or a dataset's findings as well."""
    drift = hold.findings[0]
    guess = replace(drift, causes=tuple(replace(cause, log_odds=-0.5) for cause in drift.causes))
    for found, told in ((drift, True), (guess, False)):
        text = Page(draw(replace(hold, findings=(found,), dataset_findings=(found,)))).text
        assert text.count("most likely,") == 2 * told


def test_new_pictures_are_what_to_change_first(hold: Diagnosis) -> None:
    """A lower identity ratio without the pictures it is for shows the few there are over and over."""
    opening = "Change first Add 36 in-context full_body pictures"
    assert opening in Page(draw(hold)).text
    settings_alone = replace(hold, prescription=replace(hold.prescription, dataset=()))
    assert "Change first identity_ratio 0.95 → 0.25" in Page(draw(settings_alone)).text


def test_a_picture_under_a_finding_tells_the_traits_that_the_finding_is_about(hold: Diagnosis) -> None:
    """Under a flip of the hair nobody is told of the sweater, and under a lost face of nothing."""
    hair = hold.findings[1]
    read = {"hair_colour": "purple_hair", "top": "green_shirt"}
    cells = tuple({**c, "labels": {**c["labels"], **read}} if c["key"] in hair.cells else c for c in hold.cells)
    for found, told in ((hair, [True, False]), (replace(hair, traits=()), [False, False])):
        text = Page(draw(replace(hold, findings=(found,), cells=cells))).text
        assert [f"✕ {label} asked" in text for label in read.values()] == told


def test_why_stands_before_the_warnings(hold: Diagnosis) -> None:
    text = Page(draw(replace(hold, verdict=replace(hold.verdict, warnings=("a small face",))))).text
    assert text.index("Why this verdict") < text.index("a small face")


# ---------------------------------------------------------------- in a browser


@needs_chromium
def test_the_script_runs_under_its_own_policy_and_pivots_the_matrix(html: str, tmp_path: Path) -> None:
    change: Callable[[str, str], str] = lambda name, value: (  # noqa: E731
        f"f.elements.{name}.value='{value}';f.elements.{name}.dispatchEvent(new Event('change',{{bubbles:true}}));"
    )
    probe = f"const f=document.getElementById('axes');{change('rows', 'framing')}{change('page', 'beach')}"
    elements, logged = in_browser(html, tmp_path, probe=probe)
    assert not logged
    tables = re.findall(r'<table class="matrix">(.*?)</table>', elements, re.DOTALL)
    assert len(tables) == 1 and "<caption>beach</caption>" in tables[0]
    assert tables[0].count('<div class="square"') == 6 * 3


@needs_chromium
@pytest.mark.parametrize("width", [1400, 1100, 800, 500])
def test_the_switch_of_light_and_dark_stands_at_the_right_of_the_name(html: str, tmp_path: Path, width: int) -> None:
    probe = (
        "const parts = [...document.querySelectorAll('.masthead > *')].map(e => e.getBoundingClientRect());"
        "const [name, nav, button] = parts;"
        "document.body.dataset.seen = [button.top < name.bottom, button.left >= name.right, nav.width > 300].join();"
    )
    elements, _ = in_browser(html, tmp_path, probe=probe, width=width)
    assert re.findall(r'<body data-seen="([^"]*)"', elements) == ["true,true,true"]


def test_an_audit_calls_no_cause_the_likeliest_where_it_is_too_close_to_tell() -> None:
    def page(*visible: float) -> str:
        record = fused_audit(*visible).record
        return render_audit(record, templates=TEMPLATES, run=None, private=True)

    assert "too close to tell" in page() and "most likely" not in page()
    assert "too close to tell" not in page(0.1) and "most likely" in page(0.1)


@needs_chromium
def test_the_page_of_an_audit_runs_the_same_script_without_an_error(tmp_path: Path) -> None:
    page = render_audit(audit_of().record, templates=TEMPLATES, run=None, private=False)
    elements, logged = in_browser(page, tmp_path)
    assert not logged and re.search(r'<button type="button" id="theme">(Light|Dark)<', elements)


def test_the_article_s_band_is_drawn_where_the_record_says_it_and_not_made_up(hold: Diagnosis) -> None:
    told = "works for most characters"
    assert f"0.25 to 0.40 {told}" in draw(hold)
    without = {key: value for key, value in hold.dataset.items() if key != "band"}
    assert told not in draw(replace(hold, dataset=without))


@needs_chromium
@pytest.mark.parametrize(("width", "starts"), [(500, True), (1400, False)])
def test_a_narrow_matrix_begins_at_the_ship_weights(html: str, tmp_path: Path, width: int, starts: bool) -> None:
    probe = (
        "const box = document.querySelector('#tables .scroll'), heads = [...box.querySelectorAll('thead th')];"
        "const left = heads[0].getBoundingClientRect().right;"
        "const first = heads.slice(1).find(th => th.getBoundingClientRect().left >= left - 1);"
        "const hint = getComputedStyle(document.querySelector('.sideways')).display !== 'none';"
        "const named = box.querySelector('caption').getBoundingClientRect().left >= 0;"
        "document.body.dataset.seen = [first.firstChild.textContent.trim(), hint, named].join();"
    )
    elements, _ = in_browser(html, tmp_path, probe=probe, width=width)
    assert re.findall(r'<body data-seen="([^"]*)"', elements) == ["0.7,true,true" if starts else "0,false,true"]
