"""ONNX Runtime and OpenVINO: a graph for each call, forward only, its weights constants of the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from peers.recipes import AbsentError, Window, follow
from striate.ops._spec import Call

OPSET, IR_VERSION = 20, 9
TYPES = {torch.float32: TensorProto.FLOAT, torch.bfloat16: TensorProto.BFLOAT16}


class Graph:
    """Collects nodes; a value is the name of one."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Tensor) -> str:
        return self.keep(values.to(self.dtype), TYPES[self.dtype])

    def keep(self, values: Tensor, kind: int) -> str:
        """Bytes of a tensor as an initial value."""
        name = f"constant{len(self.constants)}"
        raw = values.detach().contiguous()
        data = (raw.view(torch.int16) if raw.dtype is torch.bfloat16 else raw).numpy().tobytes()
        self.constants.append(helper.make_tensor(name, kind, list(raw.shape), data, raw=True))
        return name

    def place(self, window: Window) -> dict[str, Any]:
        ends = [before for before, _ in window.pads] + [after for _, after in window.pads]
        return {
            "kernel_shape": window.kernel,
            "strides": window.strides,
            "pads": ends,
            "dilations": window.dilations,
        }

    def convolve(self, x: str, weight: str, bias: str | None, window: Window, groups: int) -> str:
        return self.node("Conv", *filter(None, (x, weight, bias)), group=groups, **self.place(window))

    def convolve_transposed(self, x: str, weight: str, bias: str | None, window: Window, groups: int) -> str:
        return self.node(
            "ConvTranspose", *filter(None, (x, weight, bias)), group=groups, **self.place(window)
        )

    def convolve_locally(self, x: str, weight: str, bias: str | None, window: Window) -> str:
        raise AbsentError("ONNX has no local convolution")

    def largest(self, x: str, window: Window) -> str:
        return self.node("MaxPool", x, **self.place(window))

    def average(self, x: str, window: Window, counts_padding: bool) -> str:
        return self.node("AveragePool", x, count_include_pad=int(counts_padding), **self.place(window))

    def norm(self, x: str, window: Window, p: int) -> str:
        return self.node("LpPool", x, p=p, **self.place(window))

    def relu(self, x: str) -> str:
        return self.node("Relu", x)

    def sigmoid(self, x: str) -> str:
        return self.node("Sigmoid", x)

    def add(self, x: str, y: str) -> str:
        return self.node("Add", x, y)

    def subtract(self, x: str, y: str) -> str:
        return self.node("Sub", x, y)

    def multiply(self, x: str, y: str) -> str:
        return self.node("Mul", x, y)

    def sandwich(self, left: str, x: str, right: str) -> str:
        turned = self.node("Transpose", right, perm=[1, 0])
        return self.node("MatMul", self.node("MatMul", left, x), turned)

    def gate(self, weight: str, channels: int) -> str:
        return self.node("Unsqueeze", weight, self.keep(torch.tensor([1]), TensorProto.INT64))

    def join_channels(self, parts: Sequence[str]) -> str:
        return self.node("Concat", *parts, axis=1)

    def join_vectors(self, parts: Sequence[str]) -> str:
        return self.node("Concat", *(self.node("Flatten", part, axis=1) for part in parts), axis=1)


def graph_of(call: Call, tensors: dict[str, Any], shape: Sequence[int], dtype: torch.dtype) -> bytes:
    """The model for a call whose result has ``shape``."""
    graph = Graph(dtype)
    values = {
        name: [graph.constant(t) for t in part] if isinstance(part, list) else graph.constant(part)
        for name, part in tensors.items()
        if name != "input"
    }
    result = follow(graph, call, {**values, "input": "input"})
    kind = TYPES[dtype]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            call.function,
            [helper.make_tensor_value_info("input", kind, list(tensors["input"].shape))],
            [helper.make_tensor_value_info(result, kind, list(shape))],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def by_onnx_runtime(model: bytes, x: Tensor, threads: int) -> Callable[[], Tensor]:
    """A step; the threads of the session spin while it runs and stop when it ends."""
    import onnxruntime

    if x.dtype is not torch.float32:
        raise AbsentError("ONNX Runtime's CPU kernels have no bfloat16")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    fed = {"input": onnxruntime.OrtValue.ortvalue_from_numpy(x.contiguous().numpy())}

    def step() -> Tensor:
        return torch.from_numpy(session.run_with_ort_values(None, fed)[0].numpy())

    return step


def by_openvino(model: bytes, x: Tensor, threads: int) -> Callable[[], Tensor]:
    """A step; OpenVINO would take bfloat16 for float32 where the processor has it, and is told not to."""
    import openvino

    half = x.dtype is torch.bfloat16
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "ENABLE_CPU_PINNING": False,
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    flat = x.contiguous().view(torch.int16) if half else x.contiguous()
    kind = openvino.Type.bf16 if half else openvino.Type.f32
    array = flat.numpy()
    fed = (
        openvino.Tensor(array, openvino.Shape(list(x.shape)), kind) if half else openvino.Tensor(array, True)
    )
    request.set_input_tensor(fed)
    result = request.get_output_tensor()

    def step() -> Tensor:
        request.infer()
        if half:
            return torch.from_numpy(np.asarray(result.data).view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(result.data)

    return step
