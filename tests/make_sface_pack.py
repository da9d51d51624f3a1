"""The miniature's insightface pack in the graph shapes of YuNet and SFace, so that OpenCV's own code reads it.

YuNet takes BGR from 0 to 255 and answers per stride with class, objectness, (dx, dy, log w, log h) and landmarks; SCRFD
takes normalised RGB and answers with a score, four distances and landmarks. SFace normalises within its graph.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lora_doctor.plugins import data_folder

STRIDES = (8, 16, 32)


def make_sface_pack(folder: Path) -> Path:
    """Writes both files into `folder` under their published names."""
    folder.mkdir(parents=True, exist_ok=True)
    source = data_folder("miniature") / "face"
    onnx.save(_yunet(onnx.load(source / "det.onnx")), folder / "face_detection_yunet_2023mar.onnx")
    onnx.save(_sface(onnx.load(source / "rec.onnx")), folder / "face_recognition_sface_2021dec.onnx")
    return folder


def _constants(graph: onnx.GraphProto, **values: np.ndarray) -> None:
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())


def _normalised(graph: onnx.GraphProto, *, scale: float, bgr: bool) -> None:
    """Puts (x - 127.5) / scale, and the turn from BGR to RGB, before everything else; the input is now `input`."""
    raw = graph.input[0].name
    graph.input[0].name = "input"
    _constants(graph, turn=np.array([2, 1, 0]), centre=np.float32(127.5), scale=np.float32(scale))
    before = [helper.make_node("Gather", ["input", "turn"], ["turned"], axis=1)] if bgr else []
    before.append(helper.make_node("Sub", ["turned" if bgr else "input", "centre"], ["centred"]))
    before.append(helper.make_node("Div", ["centred", "scale"], [raw]))
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _yunet(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    _normalised(graph, scale=128.0, bgr=True)
    _constants(graph, first=np.array([0]), half=np.float32(0.5), tiny=np.float32(1e-3))
    _constants(
        graph, zero=np.array([0]), two=np.array([2]), four=np.array([4]), last=np.array([-1]), end=np.array([1 << 40])
    )
    outputs = []
    for stride in STRIDES:
        near, far, middle, size = (f"{part}{stride}" for part in ("near", "far", "middle", "size"))
        graph.node.extend([
            *(helper.make_node("Slice", [f"{part}_{stride}", "zero", "end", "zero", "two"], [f"one_{part}_{stride}"])
              for part in ("score", "bbox", "kps")),  # of the two anchors of each cell
            helper.make_node("Unsqueeze", [f"one_score_{stride}", "first"], [f"cls_{stride}"]),
            helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            helper.make_node("Slice", [f"one_bbox_{stride}", "zero", "two", "last"], [near]),
            helper.make_node("Slice", [f"one_bbox_{stride}", "two", "four", "last"], [far]),
            helper.make_node("Sub", [far, near], [f"twice{middle}"]),
            helper.make_node("Mul", [f"twice{middle}", "half"], [middle]),
            helper.make_node("Add", [far, near], [size]),
            helper.make_node("Add", [size, "tiny"], [f"some{size}"]),
            helper.make_node("Log", [f"some{size}"], [f"log{size}"]),
            helper.make_node("Concat", [middle, f"log{size}"], [f"box{stride}"], axis=1),
            helper.make_node("Unsqueeze", [f"box{stride}", "first"], [f"yunet_bbox_{stride}"]),
            helper.make_node("Unsqueeze", [f"one_kps_{stride}", "first"], [f"yunet_kps_{stride}"]),
        ])  # fmt: skip
    # The names bbox_8 and kps_8 are taken by the detector's own tensors: those get other ones.
    _renamed(graph, {f"{part}_{s}": f"scrfd_{part}_{s}" for part in ("bbox", "kps") for s in STRIDES})
    _renamed(graph, {f"yunet_{part}_{s}": f"{part}_{s}" for part in ("bbox", "kps") for s in STRIDES})
    for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        shape = [1, "anchors", width]
        outputs += [helper.make_tensor_value_info(f"{part}_{s}", TensorProto.FLOAT, shape) for s in STRIDES]
    del graph.output[:]
    graph.output.extend(outputs)
    onnx.checker.check_model(model)
    return model


def _renamed(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _sface(model: onnx.ModelProto) -> onnx.ModelProto:
    _normalised(model.graph, scale=127.5, bgr=False)
    onnx.checker.check_model(model)
    return model
