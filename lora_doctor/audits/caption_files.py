"""Caption files that lie beside pictures and that the trainer does not read, because it looks for another ending.

A share weighted by repeats, without an interval: the dataset is a census. The reader names such files in
`Dataset.skipped`; it names some ten thousand, so that of a larger set the share is at least this.
"""

from __future__ import annotations

import os

from lora_doctor.types import Case, Dataset, DatasetImage, Measurement


def audit(case: Case) -> list[Measurement]:
    """`captions.unread_files`: share of the pictures that have a caption file beside them and are trained without it.

    A picture whose caption is read from another file, or from a table, is none of them.
    """
    dataset = case.dataset
    named = {str(skipped.path) for skipped in dataset.skipped if skipped.kind == "caption"}
    stems = {os.path.splitext(path)[0] for path in named}
    unread = [index for index, image in enumerate(dataset.images) if _unread(dataset, image, named, stems)]
    total = sum(image.repeats for image in dataset.images)
    lost = sum(dataset.images[index].repeats for index in unread)
    return [
        Measurement(
            name="captions.unread_files", value=lost / total if total else None, unit="share", n=len(dataset.images),
            reason=None if total else "the dataset is empty", pictures=tuple(unread),
        )
    ]  # fmt: skip


def _unread(dataset: Dataset, image: DatasetImage, named: set[str], stems: set[str]) -> bool:
    """Whether a caption file of the picture is among the `named` ones, and is not what the trainer looks for."""
    if image.caption_file is not None or image.subset >= len(dataset.subsets):
        return False
    subset = dataset.subsets[image.subset]
    if subset.captions is not None or not image.path.is_relative_to(subset.folder):
        return False
    place = (subset.caption_folder or subset.folder) / image.path.relative_to(subset.folder)
    stem = os.path.splitext(place)[0]
    # A file of the ending that is looked for was found, and could not be read: that is another fault.
    return not stems.isdisjoint((stem, str(place))) and not any(
        f"{stem}{ending}" in named for ending in subset.caption_extensions
    )
