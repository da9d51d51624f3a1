"""Every value that crosses a module boundary, as a frozen dataclass. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

Where = Mapping[str, str]
"""What a measurement is about, for example `{"framing": "close-up", "weight": "0.7"}`; empty = the whole."""

Role = Literal["identity-emphasis", "in-context"]
IDENTITY_EMPHASIS: Role = "identity-emphasis"
IN_CONTEXT: Role = "in-context"

OWN_TRAINER = "lora-doctor"
"""The reference trainer, in configs, in what a LoRA records of its training, and in reports."""

CLOSE_UP, UPPER_BODY, FULL_BODY = "close-up", "upper_body", "full_body"
FRAMINGS: tuple[str, ...] = (CLOSE_UP, UPPER_BODY, FULL_BODY)
PLAIN_PREFIX = "simple_"
"""Labels that start so (`simple_background`) name no place, and are never rendered as an environment."""


# ---------------------------------------------------------------- looking


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One measured number, or the reason there is none: the only currency between looking and judging."""

    name: str
    """`<module>.<quantity>`, for example `identity.score`."""
    value: float | None
    """The point estimate; None = could not be measured, see `reason`."""
    unit: str = ""
    """`share`, `score`, `count`, `pixels` ...; empty for a plain number."""
    n: int = 0
    """Number of units behind the value: seeds of renders, pictures of a dataset, modules of a file."""
    environments: int = 0
    """Number of environments of the renders behind it, by whose means the interval goes; 0 = none, or not told."""
    interval: tuple[float, float] | None = None
    """90 % confidence interval; None for a number that is exact (a count, a setting)."""
    where: Where = field(default_factory=dict)
    """The slice it belongs to."""
    reason: str | None = None
    """Why `value` is None, or a caveat on it."""
    reach: tuple[float, float] | None = None
    """The value with every missing unit at 0, and with every one at 1, of what a policy may claim by the value alone;
    None = no unit is missing, or nothing is claimed."""
    one_worse: float | None = None
    """The interval's lower end if one unit more came out as badly as the worst anywhere, of one environment's score; a
    policy's claim by interval must hold with it. None = the interval stands alone."""
    pictures: tuple[int, ...] = ()
    """Indexes into `Dataset.images` of the pictures it is about, worst first (those that lack the token, say): numbers
    tell a private page which file to name, and a public one nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraModule:
    """One adapted module of a LoRA file."""

    component: str
    """`unet`, `transformer`, `prior`, `text_encoder`, `text_encoder_2` or `text_encoder_3`."""
    name: str
    """Dotted module path inside the component, for example `down_blocks.1.attentions.0...to_q`;
    for kohya keys, whose dots are lost, the underscored name as in the file (`flattened` is then True)."""
    flattened: bool
    """True when `name` has underscores where the module path may have dots."""
    kind: str
    """`lora`, `tucker`, `dora`, `loha`, `lokr`, `oft`, `boft`, `glora`, `ia3`, `full` or `norm`."""
    rank: int
    """0 where the kind has none."""
    alpha: float
    """As trained; OFT and BOFT: their constraint; 0 where the kind has no scale, whatever the file says."""
    scale: float
    """alpha / rank: what the product of the factors is multiplied with at weight 1; OFT and BOFT: their constraint."""
    keys: Mapping[str, str]
    """Part (`down`, `up`, `alpha`, ...) to the tensor's key in the file."""
    outputs: int = 0
    """Width or channels of the adapted layer's output; 0 = the tensors do not tell."""
    inputs: int = 0
    """The same of its input; times the kernel's area where the factors do not tell them apart."""
    scale_recorded: bool = True
    """False for a module of peft's own file whose scale nothing tells: it is taken as 1."""
    kernel: int = 1
    """Height times width of a convolution's kernel, where the factors tell it apart from the inputs."""
    update_rank: int | None = None
    """The largest rank the update can have: more than `rank` for LoHa and LoKr, never more than the layer's; None where
    nothing limits it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSpectrum:
    """The size and shape of one module's update, from its exact singular values at weight 1."""

    component: str
    name: str
    kind: str
    rank: int
    """As stored; 0 where the matrix is stored whole."""
    outputs: int
    inputs: int
    """Columns of the update as a matrix: inputs times the kernel's area."""
    norm: float
    """Frobenius norm: the root of the sum of squared singular values."""
    largest: float
    """The largest singular value."""
    stable_rank: float
    """Squared norm over the squared largest; 0 for an update of zeros, as for the two below."""
    entropy_rank: float
    """exp of the entropy of the energy: how many directions are used."""
    k90: int
    """How many directions hold 90 % of the energy."""
    energy: Mapping[int, float]
    """k -> share of the energy in the k strongest directions, in 0..1; empty for an update of zeros."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyGuess:
    """What names and widths say about the model underneath."""

    family: str
    """One of `lora_family_tables.FAMILIES`, or `unknown`."""
    variant: str | None = None
    """`3.5-large`, `klein-4b`, `14B` ...; None when the family has one size only or the widths do not tell."""
    evidence: tuple[str, ...] = ()
    doubt: str | None = None
    """Why the family is unknown, or what speaks against it."""
    candidates: tuple[str, ...] = ()
    """The families that have every module of the file, the commonest first: several when they cannot be told apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraFile:
    """A LoRA read and understood, without its tensors."""

    path: Path
    sha256: str
    size: int
    """Bytes."""
    format: str
    """Key layout of most modules: `kohya`, `diffusers`, `comfyui`, `peft` or `xlabs`."""
    family: str
    """`sd15`, `sdxl`, `miniature` ..., or `unknown`."""
    variant: str | None = None
    """`3.5-large`, `klein-4b` ..., where the family has several sizes and the widths tell."""
    modules: tuple[LoraModule, ...]
    metadata: Mapping[str, str]
    unknown_keys: tuple[str, ...] = ()
    """Keys nobody understood; listed, never dropped."""
    faults: tuple[str, ...] = ()
    """What is wrong with modules that are therefore left out, in a few words each: half a pair, factors that misfit."""
    non_finite: Mapping[str, int] = field(default_factory=dict)
    """Key -> how many of its numbers are NaN or infinite, where there are any."""
    record: TrainingRecord = field(default_factory=lambda: TrainingRecord(settings=TrainingSettings(), sources={}))
    """What the file tells about its training."""

    @property
    def trainer(self) -> str | None:
        """Who wrote the file, as far as its metadata tells."""
        return self.record.trainer


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """One folder of pictures as a trainer is told of it, and how a caption is made of a caption file."""

    folder: Path
    source: str = ""
    """Where it is told: `dataset.toml, datasets[0].subsets[1]`, or the folder's own name."""
    recursive: bool = False
    """Whether pictures of sub-folders belong to it."""
    files: tuple[str, ...] | None = None
    """The pictures' names below `folder`, where they are listed; None = every picture there is."""
    repeats: float = 1
    """How often each picture is shown in an epoch."""
    unit: int | None = 1
    """By how much one more of the trainer's own setting raises `repeats`; None = there is no one setting for them."""
    counts_from: int = 1
    """What the trainer's own setting is where it shows each picture once: 0 for SimpleTuner."""
    samples: float | None = None
    """Pictures drawn from it in an epoch, where the trainer is told that instead of repeats."""
    regularisation: bool = False
    """True for pictures that should keep the base model as it is: they are no part of the character."""
    caption_folder: Path | None = None
    """Where caption files lie, with the pictures' relative names; None = beside the pictures."""
    caption_extensions: tuple[str, ...] = (".txt", ".caption")
    """Endings of caption files, the first one that exists counts."""
    caption_key: str | None = None
    """Of caption files in JSON: the key whose text is the caption; None = the file's text is."""
    captions: Mapping[str, str] | None = None
    """Name below `folder` -> caption, where a table (metadata.jsonl) holds them; None = caption files."""
    caption_lines: Literal["whole", "first", "any"] = "whole"
    """What of a caption file is used: all of it, its first line, or one line, another each time."""
    wildcards: bool = False
    """Whether `{a|b}` in a caption stands for one of its parts, another each time."""
    prefix: str = ""
    """Put before every caption, with the separator the trainer puts there."""
    suffix: str = ""
    class_tokens: str | None = None
    """The caption of pictures that have none, for example `ohwx person`."""
    trigger: str | None = None
    """Written by the trainer itself in place of `[trigger]`, or before captions that lack it."""
    separator: str = ","
    """Between the tokens of a caption."""
    keep_tokens: int | None = None
    """How many tokens at a caption's start are neither shuffled nor dropped; None = not said."""
    keep_separator: str = ""
    """In a caption that holds it, what stands before it (and behind a second one) is kept in their stead."""
    shuffle: bool | None = None
    caption_token_dropout: float | None = None
    caption_dropout: float | None = None
    max_tokens: int | None = None
    """Tokens of the text encoder that are read, start and end not counted: 75, 150, 225; None = not said."""
    resolution: tuple[int, int] | None = None
    """Width and height in pixels whose product is the area trained at; None = not said."""
    buckets: bool | None = None
    """Whether pictures keep their own aspect ratio, cut to the nearest bucket; False = cut to `resolution`."""
    bucket_step: int | None = None
    """Buckets' sides are multiples of it, in pixels."""
    bucket_bounds: tuple[int, int] | None = None
    """The smallest and the largest side of a bucket."""
    upscales: bool | None = None
    """Whether pictures smaller than their bucket are enlarged; False = they get a smaller bucket."""
    random_crop: bool | None = None
    obeys_orientation: bool | None = None
    """Whether the trainer turns pictures as their EXIF orientation says; None = not known."""
    role: Role | None = None
    """Given by the user for all its pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a dataset lies on the disk, as one trainer sees it."""

    trainer: str
    """Who: `sd-scripts`, `ai-toolkit`, `OneTrainer`, `SimpleTuner`, `musubi-tuner`, `diffusers`; `folder`."""
    subsets: tuple[Subset, ...]
    notes: tuple[str, ...] = ()
    """What a user should know of how this trainer reads it, a sentence each."""
    trigger: str | None = None
    """The word that calls the character, where the config or a folder's name says it."""
    trigger_from: Literal["config", "words", "folder"] = "config"
    """Whose word it is: a trigger's own setting, the config's caption for pictures without one, a folder's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFacts:
    """What a picture file is, before anybody looks at what it shows."""

    format: str
    """`PNG`, `JPEG`, `WEBP`, `BMP` ..."""
    mode: str
    """As Pillow names it: `RGB`, `RGBA`, `P`, `L`, `CMYK`, `I;16` ..."""
    frames: int = 1
    """More than one: an animation, of which trainers see the first frame."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 = as stored."""
    transparent: float = 0.0
    """Share of the pixels that are at least half transparent, 0 to 1."""
    perceptual_hash: int = 0
    """64 bits: equal or nearly so for pictures that look alike."""
    mirrored_hash: int = 0
    """The same of the picture turned left to right."""
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Mean CIE Lab colour: lightness 0 to 100, green to red, blue to yellow."""
    text: tuple[tuple[float, float, float, float], ...] = ()
    """Left, top, right, bottom of what looks like a line of writing, as shares of width and height."""
    generator: str = ""
    """The program that made it, as far as the file says; empty = it does not say."""
    made_with: str = ""
    """The model that it was made with, as the file names it; a stranger's text."""
    made_with_hash: str = ""
    """That model's hash: the first 8 to 64 hexadecimal digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetImage:
    """One picture of the training set with its caption."""

    path: Path
    sha256: str
    width: int
    """Pixels as stored, EXIF orientation ignored."""
    height: int
    caption: str | None
    """As the trainer sees it, before shuffling and dropping; the first where it may choose; None = there is none."""
    caption_file: Path | None = None
    """Where it was read; None = from a table, from the subset, or there is none."""
    variants: tuple[str, ...] = ()
    """Every caption the trainer may show, where there is more than one."""
    subset: int = 0
    """Index into `Dataset.subsets`."""
    repeats: float = 1
    """How often the trainer shows it in an epoch."""
    role: Role | None = None
    """None until classified."""
    role_reason: str = ""
    """Why this role, in a few words."""
    emphasis: float | None = None
    """Probability that it is identity-emphasis, 0 to 1; 0 or 1 where the user said so; None until classified."""
    facts: PictureFacts | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file of a dataset that could not be used, or not as it is meant."""

    path: Path
    kind: Literal["picture", "caption", "folder"]
    reason: str
    """What is wrong and what to do, in a sentence, without the path."""
    remark: bool = False
    """True = only odd: nothing that is used was lost by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """The training set as the trainer saw it."""

    path: Path
    images: tuple[DatasetImage, ...]
    trainer: str = "folder"
    """Whose habits it was read with; see `Layout.trainer`."""
    subsets: tuple[Subset, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    """Files that were left out, and captions that were not read."""
    regularisation: int = 0
    """How many pictures only keep the base model as it is; they are not among `images`."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings:
    """Trainer-neutral training settings; None = the config does not say."""

    trainer: str | None = None
    rank: int | None = None
    alpha: float | None = None
    steps: int | None = None
    epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    train_text_encoder: bool | None = None
    identity_ratio: float | None = None
    """Share of identity-emphasis images the trainer samples; None = as the files and repeats give it."""
    caption_token_dropout: float | None = None
    """Probability that a single token is dropped at a step (the source article's `caption_dropout`)."""
    caption_dropout: float | None = None
    """Probability that a whole caption is dropped at a step."""
    negative_tokens: tuple[str, ...] | None = None
    """Off-spec tokens shown to the trainer as what the character is not."""
    seed: int | None = None
    resolution: int | None = None
    kind: str | None = None
    """What kind of adapter was trained, in the words of `LoraModule.kind`."""
    conv_rank: int | None = None
    """Rank of the adapters of convolutions with a kernel above 1 x 1."""
    conv_alpha: float | None = None
    network_dropout: float | None = None
    """Probability that an activation inside the adapter is dropped at a step; 0 = off."""
    text_encoder_learning_rate: float | None = None
    optimizer: str | None = None
    """As the trainer spells it, with its arguments where it writes them."""
    lr_scheduler: str | None = None
    gradient_accumulation: int | None = None
    """Batches that one step of `steps` shows, whose gradients make one optimiser step; ai-toolkit's
    `gradient_accumulation_steps` is none: it counts every batch."""
    clip_skip: int | None = None
    """Which layer of the text encoder is read, counted from its end: 1 = the last. diffusers counts from 0."""
    noise_offset: float | None = None
    """0 = off."""
    min_snr_gamma: float | None = None
    """0 = off. arXiv:2303.09556."""
    prediction_type: str | None = None
    """`epsilon`, `v_prediction` or `flow`."""
    mixed_precision: str | None = None
    """`no`, `fp16`, `bf16` ..., as the trainer spells it."""
    keep_tokens: int | None = None
    """How many tokens at a caption's start are neither shuffled nor dropped."""
    shuffle_captions: bool | None = None
    flip_augmentation: bool | None = None
    """Whether pictures are shown mirrored as well, at random or as copies."""

    @property
    def why_no_rate(self) -> str | None:
        """Why `learning_rate` is no rate that the LoRA was trained at; None where it is one, or 0.

        Prodigy and D-Adaptation multiply it, 1.0 as a rule, with the rate that they find. Source: konstmish/prodigy,
        facebookresearch/dadaptation; OneTrainer modules/util/enum/Optimizer.py (is_adaptive).
        """
        name = (self.optimizer or "").lower().replace("-", "")
        free = any(part in name for part in ("prodigy", "dadapt"))
        return f"{self.optimizer} finds its rate itself" if free and self.learning_rate else None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedFolder:
    """One folder (data set, concept) of pictures, as the trainer wrote it down."""

    name: str
    """Its last path component, or the trainer's own name of it."""
    repeats: float | None = None
    """How often each picture is shown in an epoch; None = not recorded."""
    images: int | None = None
    """Pictures, repeats not counted; None = not recorded."""
    samples: float | None = None
    """Pictures drawn from it in an epoch, where the trainer is told that instead of repeats."""
    regularisation: bool = False
    """True for pictures that should keep the base model as it is."""
    class_tokens: str | None = None
    """The caption of pictures that have none, for example `ohwx person`."""
    tags: Mapping[str, int] = field(default_factory=dict)
    """Comma-separated part of the captions, in lower case -> in how many captions it was; repeats not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedBase:
    """What a LoRA file says about the base model it was trained on; None = it does not say."""

    name: str | None = None
    """File name or hub id."""
    version: str | None = None
    """`ss_base_model_version`, in the trainer's own words."""
    architecture: str | None = None
    """`modelspec.architecture`."""
    sha256: str | None = None
    """Hash of the checkpoint, 64 hexadecimal digits."""
    legacy_hash: str | None = None
    """AUTOMATIC1111's first hash of the checkpoint, 8 hexadecimal digits."""
    folder_sha256: str | None = None
    """Hash of a diffusers folder, 64 hexadecimal digits: of its files' names and contents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseMatch:
    """Whether the base model at hand is the one that a LoRA was trained on."""

    same: bool | None
    """None = it cannot be told."""
    why: str
    sure: bool = False
    """Whether an equal hash told it, or for another base the hash and the names together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingProgress:
    """How far a training had come when the file was saved; None = not recorded."""

    steps: int | None = None
    """Optimiser steps done; `TrainingSettings.steps` are the planned ones."""
    epochs: float | None = None
    started: str | None = None
    """ISO 8601, UTC."""
    finished: str | None = None
    """ISO 8601, UTC; a date alone where the trainer writes no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRecord:
    """All that a LoRA file, and a training config beside it, tell about its training."""

    trainer: str | None = None
    """Who wrote the file: `sd-scripts`, `musubi-tuner`, `ai-toolkit`, `OneTrainer`, `SimpleTuner`, `diffusers`,
    `lora-doctor`; None = nothing in its metadata tells."""
    settings: TrainingSettings
    sources: Mapping[str, str]
    """Every `TrainingSettings` field -> where its value was read, or why there is none."""
    triggers: tuple[str, ...] = ()
    """Candidates for the trigger, likeliest first."""
    folders: tuple[TrainedFolder, ...] = ()
    base: TrainedBase = field(default_factory=TrainedBase)
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    comment: str | None = None
    altered: str | None = None
    """How the file was changed after training (resized), in a few words; None = nothing says so."""
    hidden: str | None = None
    """Why most of the trainer's record is not in the file; None = it is there."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Metadata key, or file beside the LoRA -> why it could not be read."""


# ---------------------------------------------------------------- the matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One point of the weight x environment x framing matrix, or of an arm beside it."""

    weight: float
    environment: str
    trained: bool
    """True when the dataset shows this environment."""
    framing: str
    replicate: int
    prompt: str
    negative_prompt: str
    seed: int
    """hash(environment, framing, replicate): the same at every weight and in every arm."""
    arm: str = ""
    """The arm beside the matrix that it belongs to: a file of `arms/`; empty = the matrix itself."""
    asked: str = ""
    """What is asked for here, in an arm that asks for several things in turn: labels, with `+` between them."""
    variant: str = ""
    """How the LoRA is altered for it, `rank/2` say; empty = as it is."""

    @property
    def key(self) -> str:
        """The cell's name in a run folder: unique, and fit for a file name."""
        place = f"w{self.weight:.2f}_{self.environment}_{self.framing}_r{self.replicate}"
        return "_".join(part for part in (place, self.arm, self.asked, self.variant) if part)

    @property
    def labels_asked(self) -> tuple[str, ...]:
        """The labels in `asked`."""
        return tuple(label for label in self.asked.split("+") if label)


@dataclass(frozen=True, kw_only=True, slots=True)
class Render:
    """What came of a cell: its image, or the reason there is none."""

    cell: Cell
    image: Path | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSet:
    """A closed set of labels for one attribute, asked of CLIP."""

    attribute: str
    labels: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    """For each label the texts that mean it (an ensemble of at least one)."""
    kind: Literal["identity", "body", "outfit", "environment", "framing", "pose", "expression"]
    crop: Literal["whole", "head"]
    framings: tuple[str, ...] = FRAMINGS
    """The framings in which a viewer can read the attribute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceReading:
    """What the face instrument saw in one image."""

    faces: int
    """Number of faces found."""
    score: float | None = None
    """Detector confidence of the chosen (largest) face, 0 to 1; None when no face was found."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom in pixels of the image."""
    embedding: np.ndarray[Any, Any] | None = None
    """(d,) float32, unit length unless the instrument compares pairs (`Study.similarity`)."""
    landmarks: tuple[tuple[float, float], ...] | None = None
    """The chosen face's eyes, nose and mouth corners (image left before image right) in pixels; None = not told."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Of all faces found, largest first."""
    rescued: str = ""
    """`padded` or `zoomed` where the face was only found that way; empty = at first sight, or not at all."""
    closer: np.ndarray[Any, Any] | None = None
    """(d,) embedding of a small face from its surroundings enlarged; None = the face is large, or was lost that way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelFacts:
    """What the pixels of a picture say, whatever it shows."""

    colour: tuple[float, float, float]
    """Mean CIE Lab: lightness 0 to 100, green to red, blue to yellow."""
    lightness_spread: float
    """Standard deviation of lightness, 0 to 50: contrast."""
    chroma: float
    """Mean distance from grey in Lab, 0 to about 130: saturation."""
    detail: float
    """Variance of the Laplacian of lightness as a share (0 to 1): edges and noise."""
    clipped: float
    """Share of the pixels in which a channel is as dark or as bright as it can be, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Everything the instruments read off one image."""

    width: int
    height: int
    face: FaceReading
    probabilities: Mapping[str, np.ndarray[Any, Any]]
    """Attribute -> (labels,) zero-shot probabilities that sum to 1."""
    embedding: np.ndarray[Any, Any] | None = None
    """(d,) CLIP image embedding of the whole image, unit length."""
    identities: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """Name of an identity instrument beside the face instrument -> (d,) embedding; absent where it saw nobody."""
    witness: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """Attribute -> (labels,) probabilities by the tagger, a second witness; empty without one."""
    body: np.ndarray[Any, Any] | None = None
    """(d,) embedding of the person below the head, unit length; None where none was read or no body is to be seen."""
    pixels: PixelFacts | None = None
    colours: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """`picture`, `background` (means), `hair_colour`, `eye_colour`, `skin` (medians) -> CIE Lab, where seen."""
    sides: np.ndarray[Any, Any] | None = None
    """(d,) float16: what of the head is on one side only, its sign turned in a mirrored picture; None without eyes."""

    def top_label(self, labels: LabelSet | None) -> str | None:
        """The most probable label of one attribute, or None where it was not read."""
        if labels is None or (row := self.probabilities.get(labels.attribute)) is None:
            return None
        return labels.labels[int(row.argmax())]


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherPeople:
    """People beside the character who return in a dataset, in three pictures or more."""

    groups: tuple[tuple[int, ...], ...] = ()
    """For each the indexes of the pictures that show them; who is shown most often first."""
    unknown: str | None = None
    """Why nobody can say whether there are any, or any more; None = it can be said."""

    @property
    def pictures(self) -> frozenset[int]:
        """The pictures of all of them."""
        return frozenset(place for group in self.groups for place in group)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """All that metrics may look at: readings of renders and of the dataset, and what the character should be."""

    cells: tuple[Cell, ...]
    renders: Mapping[str, Reading]
    """Cell key -> reading; a cell without one was not rendered (see `missing`)."""
    missing: Mapping[str, str]
    """Cell key -> reason."""
    dataset: Dataset
    references: tuple[Reading | None, ...]
    """One per dataset image, in its order."""
    label_sets: Mapping[str, LabelSet]
    """Attribute -> its closed label set."""
    spec: Mapping[str, str]
    """Attribute -> the label the character must show, given by the user or induced from the dataset."""
    ship_weights: tuple[float, ...]
    """Weights at which the LoRA must hold, for example (0.7, 0.8, 1.0)."""
    asked: tuple[str, ...]
    """Attributes whose label the prompts name, in the framings that show them."""
    bound: float = 1.645
    """How many standard errors a claim about one environment must be clear by: 1.645 is one end of a 90 % interval;
    more where several environments are claimed, or where they are looked at again and again."""
    similarity: Callable[[Any, Any], Any] | None = None
    """(k, d) and (n, d) identity embeddings -> (k, n) similarities; None = the cosine of unit embeddings."""
    held: float | None = None
    """The identity score from which the policy calls a render held; None = not told."""
    of_pictures: bool = False
    """Whether identity is measured on whole pictures (CCIP, DINO, CLIP) and not on faces."""
    same_from: float | None = None
    """Similarity of two pictures from which the identity instrument's makers call them one person; None = not told."""
    copies: tuple[tuple[int, ...], ...] = ()
    """Groups of dataset pictures that are near-duplicates of each other, as indexes into `references`."""
    others: OtherPeople = field(default_factory=OtherPeople)
    """Whom the dataset shows besides the character: no references of identity."""
    least_face: float = 112.0
    """Pixels, shorter side: the smallest face that the identity instrument is made for."""
    with_others: bool = False
    """Whether the LoRA is meant for pictures of other people too."""
    arms: Mapping[str, tuple[Cell, ...]] = field(default_factory=dict)
    """Arm -> its cells, none of which are in `cells`; their readings are in `renders` and `missing` too."""
    redrawn: Mapping[int, Reading] = field(default_factory=dict)
    """Index into `references` -> reading of that picture after the base model's encoder and decoder; a few of them."""


class Ask(Protocol):
    """Makes the prompt of a cell."""

    def __call__(
        self, environment: str, framing: str, *, trigger: bool = True, class_token: str | None = None,
        tokens: Sequence[str] = (), outfit: Sequence[str] | None = None, pose: str | None = None,
    ) -> str:  # fmt: skip
        """The prompt as the matrix has it, but for what is named here; `outfit` None = as in the matrix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCase:
    """All that an arm may plan its cells with."""

    matrix: tuple[Cell, ...]
    """Of all rounds."""
    ask: Ask
    trigger: str
    class_token: str
    spec: Mapping[str, str]
    """Attribute -> the label the character must show."""
    asked: tuple[str, ...]
    """Attributes whose label the matrix's prompts name."""
    label_sets: Mapping[str, LabelSet]
    dataset: Dataset
    references: tuple[Reading | None, ...]
    """One per dataset image, in its order."""
    ship_weights: tuple[float, ...]
    rank: int
    """The LoRA's largest; 0 where not every update of it is a product of two factors, which can be cut off."""
    seed: int
    fitted: Callable[[str], str] = str
    """What the base model's text encoder reads of a prompt: all of it, its start, or nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """All that audits may look at: files, without any render."""

    lora: LoraFile | None
    """None = the dataset alone is audited."""
    dataset: Dataset
    references: tuple[Reading | None, ...]
    training: TrainingSettings
    trigger: str
    label_sets: Mapping[str, LabelSet]
    spec: Mapping[str, str]
    base: BaseMatch | None = None
    """None = no base model is at hand."""
    side: int | None = None
    """Side of a square of the area that is rendered at, pixels; None = nothing is rendered."""


# ---------------------------------------------------------------- judging


EACH = "*"
"""In the `where` of a rule with `each`: the value it is being judged for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A comparison of one measurement with a number, or a combination of conditions."""

    measurement: str | None = None
    where: Where = field(default_factory=dict)
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    equals: float | None = None
    absent: bool | None = None
    all: tuple[Condition, ...] = ()
    any: tuple[Condition, ...] = ()
    none: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """What to change: settings, dataset, captions, or advice only a person can follow."""

    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`TrainingSettings` field -> one of `{set: x}`, `{at_least: x}`, `{at_most: x}`, `{times: x}`. x can be
    `{measured: NAME}`, and in a rule a range, `{from, to, at}`, that a finding's strength picks a number in
    (`fix_size.sized`)."""
    rescale: Mapping[str, float] = field(default_factory=dict)
    """`{identity, at_weight, at_most}`: the finished LoRA is to be as much stronger as brings its identity at the
    weight to `identity`, `at_most` times; nothing is trained."""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    """For example `{add: in-context, framing: full_body, until_share: 0.5}`, or `{leave_out: hair_colour}`: the
    pictures that show another one than the character's."""
    captions: Mapping[str, Any] = field(default_factory=dict)
    """For example `{add_tokens: body, to: identity-emphasis}`."""
    advice: str = ""
    source: str = ""
    """Where its numbers come from; empty = the rule's first reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A condition that makes a cause more likely (positive weight) or less likely (negative), in nats."""

    when: Condition
    weight: float
    says: str = ""
    """The observation in words, shown with the cause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Advice that is right only where something was measured so."""

    when: Condition
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One possible cause of a symptom."""

    because: str
    fix: Fix
    prior: float = 0.0
    """Log-odds before any evidence."""
    evidence: tuple[Evidence, ...] = ()
    advise: tuple[Advice, ...] = ()
    """What the fix advises beside its own advice, where it holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One symptom: when it is there, what may cause it, how to mend it."""

    id: str
    since: str
    symptom: str
    why: str
    when: Condition
    severity: Literal["blocker", "warning", "note"]
    causes: tuple[Cause, ...]
    references: tuple[str, ...]
    examples: Mapping[str, Any]
    known_problems: str = ""
    shows: Where = field(default_factory=dict)
    """Which cells make good evidence pictures, for example `{framing: full_body}`."""
    each: str = ""
    """A key of `where`: the rule is judged once for every value that measurements have there, in its conditions `*`."""
    predicts: tuple[str, ...] = ()
    """Rules whose symptom this one lets expect in the LoRA."""
    predicts_for: tuple[str, ...] = ()
    """Values of `each`, or parts of a pair, for which it does; empty = for every one."""
    clear: float = 0.0
    """Nats by which the first cause must lead to be called the likeliest; from `causes.toml`."""
    by_weight: bool = False
    """Whether it is judged at each weight too, not over the ship weights together alone: it holds at any weight of the
    policy, and at the others tells where the working range ends."""
    ends_range: Literal["", "top", "beyond"] = ""
    """Where the working range ends once it is confirmed, of a rule that is judged at one weight alone: at the highest
    ship weight, where arms are rendered, or at the weight beyond it."""
    probes: tuple[str, ...] = ()
    """Files of `arms/` that are rendered only once this symptom is seen: they tell its causes apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedCause:
    """A cause with its evidence weighed."""

    because: str
    fix: Fix
    log_odds: float
    evidence: tuple[str, ...]
    """The observations that spoke, strongest first."""
    unknown: tuple[str, ...] = ()
    """Evidence that could not be evaluated, with the reason."""
    met: tuple[str, ...] = ()
    """The settings that are already as the fix asks."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Setting -> why its change is as large as it is, where the rule gives a range for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """Somebody's decision, for a while, that a finding shall not hold a release."""

    rule: str
    reason: str
    expires: str
    """The last day on which it applies (UTC), `2027-03-01`."""
    lora: str = ""
    """Start of the SHA-256 of the one LoRA it is for; empty = every LoRA."""
    where: Where = field(default_factory=dict)
    """What `Finding.about` must say, for a rule that is judged by slice; empty = all of its findings."""


Effect = Literal["holds", "leaves open", "warns", "told", "ignored", "waived"]
"""What a finding does to a release: makes it a HOLD, makes it INCONCLUSIVE, is a warning on a SHIP, or none of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A symptom that was seen."""

    rule: str
    symptom: str
    why: str
    state: Literal["confirmed", "suspected"]
    severity: Literal["blocker", "warning", "note"]
    strength: float
    """How far beyond its threshold the leading measurement is, as a share of how far it could be (shares and scores) or
    in units of the threshold (all others); ranks findings."""
    measurements: tuple[Measurement, ...]
    """The measurements that triggered it."""
    limits: tuple[Mapping[str, float], ...] = ()
    """For each of them where the rule begins to speak: `{above: 0.15}`; empty where it is asked for as absent."""
    causes: tuple[RankedCause, ...]
    """Most likely first."""
    close: int = 1
    """How many of them, from the first on, are too close to tell which comes first; 1 = the first is clear."""
    references: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    """Keys of evidence cells."""
    traits: tuple[str, ...] = ()
    """Attributes of the character that it is about: how they are read is told beside its pictures."""
    about: Where = field(default_factory=dict)
    """The slice it was judged for, where the rule has `each`."""
    predicts: tuple[str, ...] = ()
    """Rules whose symptom is to be expected."""
    worst: float | None = None
    """As `strength`, but the most it may be, 0 to 1: never less when evidence is taken away, 1 where something that
    could be stronger is absent or where there is no share of anything. None = not known."""
    effect: Effect | None = None
    """What the policy makes of it; None = no policy has been asked."""
    waiver: Waiver | None = None
    """The waiver that applies to it."""

    @property
    def explained(self) -> bool:
        """Whether it has a cause that is as likely as not, or likelier."""
        return bool(self.causes) and self.causes[0].log_odds >= 0


@dataclass(frozen=True, kw_only=True, slots=True)
class NotEvaluated:
    """A rule that could not be judged, and why."""

    rule: str
    reason: str
    severity: Literal["blocker", "warning", "note"] = "blocker"
    """Of the rule: what would have come of its finding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One prescribed change of one setting."""

    field: str
    """A `TrainingSettings` field."""
    before: Any
    after: Any
    rule: str
    """The finding it answers."""
    because: str
    """The measured number and the source of the prescribed one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPictures:
    """Pictures that somebody has to make before the next training."""

    says: str
    """The request in a sentence, with the numbers it follows from."""
    role: str
    framing: str | None = None
    pictures: int | None = None
    """How many; None = not known, or counted in environments."""
    environments: int | None = None
    """How many new ones they must show."""
    within: int | None = None
    """Of how many pictures that another request asks for these are a part; None = they come on top of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOutPictures:
    """Pictures that the next training must not see: they show another label of an attribute than the character's."""

    says: str
    """The request in a sentence, with the numbers it follows from."""
    attribute: str
    label: str
    """The character's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prescription:
    """Everything to change before the next training."""

    changes: tuple[Change, ...] = ()
    dataset: tuple[NewPictures, ...] = ()
    left_out: tuple[LeftOutPictures, ...] = ()
    captions: tuple[Mapping[str, Any], ...] = ()
    """Machine-readable caption fixes, as in `Fix.captions`, with the tokens filled in."""
    advice: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    """Findings that pulled in opposite directions, and how that was settled."""
    rescale: float | None = None
    """How many times as strong the finished LoRA is to be made, without any training; None = not so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigFiles:
    """A training config as text: the file that a user names, and those it names that hold settings too."""

    path: Path
    """The file that was named."""
    texts: Mapping[Path, str]
    """File -> its text, byte for byte but for the encoding; the named one is among them."""

    @property
    def text(self) -> str:
        """Of the file that was named."""
        return self.texts[self.path]


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchedFiles:
    """A training config with the changes that its trainer can express."""

    texts: Mapping[Path, str]
    """Every file of the config, changed or not, and such as are new."""
    unsupported: tuple[str, ...] = ()
    """Changes the trainer has no setting for, a sentence each, with the nearest thing it has."""
    notes: tuple[str, ...] = ()
    """What else had to change along, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """A patched file, not yet written."""

    path: Path
    text: str
    changes: tuple[Change, ...]
    diff: str
    unsupported: tuple[str, ...] = ()
    """Changes this trainer has no setting for, with the nearest thing it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The outcome."""

    outcome: Literal["SHIP", "HOLD", "INCONCLUSIVE"]
    sentence: str
    """The verdict in one sentence, with its numbers."""
    reasons: tuple[str, ...] = ()
    """HOLD: its blockers, most pressing first, then what is open; INCONCLUSIVE: what is open; SHIP: what holds."""
    proven: int | None = None
    """HOLD: how many of the reasons, from the first on, are proven; what follows is undecided. None = not told."""
    limits: tuple[str, ...] = ()
    """What a SHIP covers (weights, working range, framings, environments), what was not tested, what is ignored."""
    warnings: tuple[str, ...] = ()
    """What does not prevent a SHIP, and is to be known before one."""
    waived: tuple[str, ...] = ()
    """Findings that a waiver keeps from holding the release, each with its reason and its last day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """Everything a check-up found; `diagnosis.json` is this, and every report is drawn from it alone."""

    format_version: int
    created: str
    """ISO 8601, UTC."""
    versions: Mapping[str, str]
    inputs: Mapping[str, str]
    """Input name -> sha256."""
    lora: Mapping[str, Any]
    """Name, format, family, trainer, rank, alpha, modules."""
    character: Mapping[str, Any]
    """Trigger and spec."""
    instruments: Mapping[str, Any]
    matrix: Mapping[str, Any]
    """Weights, environments (`{name, trained}`), framings, replicates, prompts, sampler."""
    cells: tuple[Mapping[str, Any], ...]
    """Per cell: key, weight, environment, trained, framing, replicate, image (relative), identity, state, labels."""
    dataset: Mapping[str, Any]
    """Counts by role and framing, ratio, band; private reports add the pictures."""
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    prescription: Prescription
    verdict: Verdict
    warnings: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    dataset_findings: tuple[Finding, ...] = ()
    """What is wrong with the dataset by itself; it explains, and never holds a release."""
    file_findings: tuple[Finding, ...] = ()
    """The same of the LoRA file."""
    arms: tuple[Mapping[str, Any], ...] = ()
    """As `cells`, of the arms beside the matrix, with `arm`, `asked` and `variant`."""
    before: Mapping[str, Any] = field(default_factory=dict)
    """Of a retrained LoRA, what it was before: outcome, findings, changes, dataset (what else was done), contrasts,
    kept, because, and pairs of pictures (as `cells`, with `identity_before` and `_after`, `image_before` and `_after`).
    """

    @property
    def confirmed(self) -> tuple[str, ...]:
        """The rules with a confirmed finding, each once, first things first."""
        return tuple(dict.fromkeys(finding.rule for finding in self.findings if finding.state == "confirmed"))


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """Everything an audit of a dataset found; `audit.json` is this, and the audit's report is drawn from it alone."""

    format_version: int
    created: str
    """ISO 8601, UTC."""
    versions: Mapping[str, str]
    inputs: Mapping[str, str]
    """Input name -> sha256."""
    character: Mapping[str, Any]
    """Trigger, how it is known, and spec."""
    instruments: Mapping[str, Any]
    dataset: Mapping[str, Any]
    """As in a Diagnosis."""
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    prescription: Prescription
    timings: Mapping[str, float] = field(default_factory=dict)
