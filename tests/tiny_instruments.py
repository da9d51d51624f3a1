"""Instruments of the shapes that are published, a few kilobytes each, with answers that can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TAGS = ("general", "red_hair", "green_hair", "blue_hair", "smile", "red_eyes", "blue_eyes")
THRESHOLD = 0.17


def _save(path: Path, nodes: list, inputs: dict, outputs: dict, **constants: np.ndarray) -> None:
    def told(values: dict) -> list:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]

    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", told(inputs), told(outputs), kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def make_ccip(folder: Path, threshold: float = THRESHOLD) -> Path:
    """Features: the mean colours of the quarters of a picture, as normalised. Difference: (1 - cosine) / 2."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = helper.make_node("AveragePool", ["input"], ["quarters"], kernel_shape=[192, 192], strides=[192, 192])
    flat = helper.make_node("Flatten", ["quarters"], ["output"])
    _save(folder / "model_feat.onnx", [pool, flat], {"input": ["n", 3, 384, 384]}, {"output": ["n", 12]})
    nodes = [
        helper.make_node("LpNormalization", ["input"], ["unit"], axis=1, p=2),
        helper.make_node("Transpose", ["unit"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["unit", "turned"], ["cosine"]),
        helper.make_node("Sub", ["one", "cosine"], ["twice"]),
        helper.make_node("Mul", ["twice", "half"], ["output"]),
    ]
    constants = {"one": np.float32(1), "half": np.float32(0.5)}
    _save(folder / "model_metrics.onnx", nodes, {"input": ["n", 12]}, {"output": ["n", "m"]}, **constants)
    (folder / "metrics.json").write_text(json.dumps({"f1_score": 0.9, "threshold": threshold}))
    return folder


def make_tagger(folder: Path, *, logits: bool = False, tags: tuple[str, ...] = TAGS) -> Path:
    """A tag of a colour is as probable as the picture's mean is of that colour; it takes blue before red, 0 to 255."""
    folder.mkdir(parents=True, exist_ok=True)
    blue, green, red, none = ([8.0, -8, -8], [-8.0, 8, -8], [-8.0, -8, 8], [0.0, 0, 0])
    weights = np.array([none, red, green, blue, none, red, blue], np.float32).T / np.float32(255)
    nodes = [
        helper.make_node("ReduceMean", ["input_1"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["score"]),
        helper.make_node("Identity" if logits else "Sigmoid", ["score"], ["predictions"]),
    ]
    shapes = {"input_1": ["n", 16, 16, 3]}, {"predictions": ["n", len(TAGS)]}
    _save(folder / "model.onnx", nodes, *shapes, weights=weights)
    rows = [f"{i},{tag},{9 if i == 0 else 0},{1000 - i}" for i, tag in enumerate(tags)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows, ""]))
    return folder


def make_dino(folder: Path, version: int = 2) -> Path:
    """A random DINOv2 or DINOv3 of one layer, saved by transformers itself."""
    import torch
    from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 56}
    if version == 2:
        model = Dinov2Model(Dinov2Config(patch_size=14, **sizes))
    else:
        model = DINOv3ViTModel(DINOv3ViTConfig(patch_size=14, intermediate_size=64, **sizes))
    model.save_pretrained(folder)
    recipe = {
        "do_center_crop": True, "crop_size": {"height": 56, "width": 56}, "size": {"shortest_edge": 64},
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
    return folder
