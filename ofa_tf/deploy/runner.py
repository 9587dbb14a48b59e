"""`Runner`: TFLite files run and timed; and what they consist of."""

import dataclasses
import functools
import os
import pathlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ofa_tf.common import InputError
from ofa_tf.common.config import check_whole
from ofa_tf.common.quiet import captured_output

# A flatbuffer begins with the offset of its root and the file's identifier.
IDENTIFIER = b"TFL3"
_SMALLEST_BYTES = 64
# What stands for the operations that a delegate took over.
DELEGATE = "DELEGATE"
_COARSEST_CLOCK_SECONDS = 1e-6
_BYTE_TYPES = ("int8", "uint8")


@dataclasses.dataclass(frozen=True)
class Timing:
    """The distribution of the time that one run of a model takes, in milliseconds.

    Args:
        median_ms: the median.
        p95_ms: the 95th percentile.
        std_ms: the standard deviation.
        mean_ms: the mean.
        min_ms: the fastest run.
        count: the number of timed runs.
    """

    median_ms: float
    p95_ms: float
    std_ms: float
    mean_ms: float
    min_ms: float
    count: int

    @staticmethod
    def of(times_ms: Sequence[float]) -> "Timing":
        """Summarizes the times of single runs, in milliseconds."""
        times = np.asarray(times_ms, np.float64)
        return Timing(
            median_ms=float(np.median(times)),
            p95_ms=float(np.percentile(times, 95)),
            std_ms=float(times.std()),
            mean_ms=float(times.mean()),
            min_ms=float(times.min()),
            count=len(times),
        )


@dataclasses.dataclass(frozen=True)
class Node:
    """An operation of a graph, or a partition that a delegate took over: its kind, and its tensors by index."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_types: tuple[str, ...]


class Runner:
    """Runs a TFLite model of one input, as many images at a time as its input takes.

    Files from elsewhere can bring the interpreter down; what is checked is that it begins as a TFLite file does.

    Args:
        model: the path of a `.tflite` file, or its bytes.
        threads: the interpreter's threads.

    Raises:
        InputError: the file is missing or not a TFLite model that this machine can run.

    Example:
        runner = Runner("model.tflite")
        logits = runner.predict(images)
        print(runner.time().median_ms)
    """

    def __init__(self, model: str | os.PathLike | bytes, *, threads: int = 1):
        check_whole("threads", threads, 1)
        self.model_bytes, self.source = read_model(model)
        self.threads = threads
        if len(self.model_bytes) < _SMALLEST_BYTES or self.model_bytes[4:8] != IDENTIFIER:
            raise InputError(
                f"{self.source}: not a whole TFLite model ({len(self.model_bytes)} bytes, expected the identifier "
                f"{IDENTIFIER.decode()}); export it anew"
            )
        with captured_output() as written:
            try:
                self._interpreter = Interpreter(model_content=self.model_bytes, num_threads=threads)
                self._interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                words = " ".join(f"{written()} {error}".split())
                raise InputError(f"{self.source}: cannot be run ({words}); export it anew") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or not outputs:
            raise InputError(
                f"{self.source}: {len(inputs)} inputs, {len(outputs)} outputs; expected one input and some output"
            )
        self.input_details, self.output_details, self._outputs = inputs[0], outputs[0], outputs
        self.fill(np.zeros(self.input_shape, self.input_type))
        self._clock = _clock(threads)
        self._clock_ns = _cost_ns(self._clock)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input, batch dimension first."""
        return tuple(int(size) for size in self.input_details["shape"])

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the outputs, batch dimension first."""
        return [tuple(int(size) for size in details["shape"]) for details in self._outputs]

    @property
    def input_type(self) -> str:
        """Name of the input's NumPy type."""
        return np.dtype(self.input_details["dtype"]).name

    @property
    def output_type(self) -> str:
        """Name of the output's NumPy type."""
        return np.dtype(self.output_details["dtype"]).name

    @property
    def nodes(self) -> list[Node]:
        """The operations of the graph, and after them one `DELEGATE` for every partition that a delegate took over."""
        try:
            return [
                Node(
                    details["op_name"],
                    tuple(map(int, details["inputs"])),
                    tuple(map(int, details["outputs"])),
                    tuple(np.dtype(kind).name for kind in details["result_types"]),
                )
                for details in self._interpreter._get_ops_details()
            ]
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.source}: this version of ai_edge_litert does not tell its operations ({error!r}); install "
                f"the version of the lock file"
            ) from error

    @property
    def operations(self) -> list[str]:
        """The kinds of `nodes`."""
        return [node.name for node in self.nodes]

    @property
    def partitions(self) -> int:
        """Number of parts of the graph that XNNPACK runs; 1 is fastest, 0 means that it runs none."""
        return Counter(self.operations)[DELEGATE]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The dequantized output, of a file that has one.

        Args:
            images: (N, height, width, channels) of the input's type, uint8 for exported networks.

        Returns:
            float32 (N, ...): probabilities or logits for networks.

        Raises:
            InputError: the images do not fit the input, or there are several outputs.
        """
        if len(self._outputs) > 1:
            raise InputError(f"{self.source}: {len(self._outputs)} outputs, expected one; use predict_all")
        return self.predict_all(images)[0]

    def predict_all(self, images: np.ndarray) -> list[np.ndarray]:
        """The same for a file of several outputs (a backbone): an array of each, in their order."""
        images = np.asarray(images)
        if images.shape[1:] != self.input_shape[1:] or images.dtype != self.input_details["dtype"]:
            raise InputError(
                f"{self.source}: images are {images.dtype.name} {images.shape[1:]}, expected {self.input_type} "
                f"{self.input_shape[1:]}"
            )
        outputs = [np.empty((len(images), *details["shape"][1:]), np.float32) for details in self._outputs]
        batch = self.input_shape[0]
        for first in range(0, len(images), batch):
            part = images[first : first + batch]
            # A last batch that is not full is filled up with its last image.
            self.fill(np.concatenate([part, part[-1:].repeat(batch - len(part), axis=0)]))
            self._interpreter.invoke()
            for output, details in zip(outputs, self._outputs, strict=True):
                output[first : first + batch] = self._interpreter.get_tensor(details["index"])[: len(part)]
        for place, details in enumerate(self._outputs):
            scale, zero_point = details["quantization"]
            if scale:
                outputs[place] = (outputs[place] - zero_point) * np.float32(scale)
        return outputs

    def fill(self, inputs: np.ndarray) -> None:
        """Sets the input, (batch, height, width, channels) of its type, for `run_ms`."""
        self._interpreter.set_tensor(self.input_details["index"], inputs)

    def run_ms(self) -> float:
        """Runs the model once on what is in its input; the time that took, in milliseconds.

        With one thread, the time for which other programs held the processor is not counted.
        """
        start = self._clock()
        self._interpreter.invoke()
        return max(self._clock() - start - self._clock_ns, 1) * 1e-6

    def time(self, min_runs: int = 50, min_seconds: float = 0.1, warmup_runs: int = 5) -> Timing:
        """Times runs of the model, one after the other, each as `run_ms` does.

        Args:
            min_runs: at least this many are timed,
            min_seconds: and for at least so long.
            warmup_runs: runs before, not timed.
        """
        for _ in range(warmup_runs):
            self._interpreter.invoke()
        times_ms, total_ms = [], 0.0
        while len(times_ms) < max(min_runs, 1) or total_ms < min_seconds * 1e3:
            times_ms.append(self.run_ms())
            total_ms += times_ms[-1]
        return Timing.of(times_ms)


def _clock(threads: int) -> Callable[[], int]:
    # One thread means the caller's own.
    own_time = threads == 1 and time.get_clock_info("thread_time").resolution <= _COARSEST_CLOCK_SECONDS
    return time.thread_time_ns if own_time else time.perf_counter_ns


@functools.cache
def _cost_ns(clock: Callable[[], int]) -> int:
    """What reading the clock adds to a measured time."""
    return int(np.median([-clock() + clock() for _ in range(1000)]))


def read_model(model: str | os.PathLike | bytes) -> tuple[bytes, str]:
    """A `.tflite` file's bytes, given its path or these, and what to call it in an error.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(model, bytes):
        return model, "model in memory"
    path = pathlib.Path(model)
    try:
        return path.read_bytes(), os.fspath(model)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected a .tflite file; check the path"
        ) from error


@dataclasses.dataclass(frozen=True)
class GraphSummary:
    """The operations of a file, as this machine runs it.

    Args:
        operations: how many there are of each kind.
        int8_share: share of the operations that read and write 8-bit activations only, 0..1.
        float_tensors: activations in floating point.
        partitions: parts of the graph that XNNPACK runs; 1 is fastest, 0 means that it runs none.
        outside_xnnpack: how many operations of each kind it leaves to the built-in code.

    Example:
        summarize(Runner("model.tflite")).outside_xnnpack
    """

    operations: Mapping[str, int]
    int8_share: float
    float_tensors: int
    partitions: int
    outside_xnnpack: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)


def summarize(runner: Runner) -> GraphSummary:
    """What the file of a runner consists of."""
    nodes = [node for node in runner.nodes if node.name != DELEGATE]
    delegates = [node for node in runner.nodes if node.name == DELEGATE]
    activations = {runner.input_details["index"]: runner.input_type}
    for node in nodes:
        activations |= zip(node.outputs, node.output_types, strict=True)
    in_bytes = [
        all(activations[tensor] in _BYTE_TYPES for tensor in (*node.inputs, *node.outputs) if tensor in activations)
        for node in nodes
    ]
    inside = set().union(*(_inside(delegate, nodes) for delegate in delegates))
    return GraphSummary(
        operations=dict(Counter(node.name for node in nodes).most_common()),
        int8_share=float(np.mean(in_bytes)) if nodes else 0.0,
        float_tensors=sum(name.startswith("float") for name in activations.values()),
        partitions=len(delegates),
        outside_xnnpack=dict(
            Counter(node.name for index, node in enumerate(nodes) if index not in inside).most_common()
        ),
    )


def _inside(delegate: Node, nodes: list[Node]) -> set[int]:
    """The indices of the operations that a partition took over: what lies between its outputs and its inputs."""
    maker = {tensor: index for index, node in enumerate(nodes) for tensor in node.outputs}
    found, waiting = set(), list(delegate.outputs)
    while waiting:
        tensor = waiting.pop()
        index = maker.get(tensor)
        if tensor not in delegate.inputs and index is not None and index not in found:
            found.add(index)
            waiting += nodes[index].inputs
    return found
