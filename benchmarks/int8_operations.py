"""Where int8 gains and loses: the time of each kind of operation inside XNNPACK, beside float32, on this machine.

    python -m benchmarks.int8_operations --output=benchmarks/results/int8_operations.json

The sub-networks of `benchmarks.int8_forms`, each precision in its default form, one thread, profiled by LiteRT itself
(the profiler of its C interface, which the Python package ships without a binding). The last line is a bound for files
that mix the two: every operation with weights in the precision in which it is faster, all others in the precision in
which they take less together, and no time for conversions between them.
"""

import ctypes
import pathlib
import re

from absl import flags

from ofa_tf.common import OfaError, cli

_SPACE = flags.DEFINE_string("space", "ofa_mbv3_d234_e346_k357_w1.0", "a space by name")
_RESOLUTION = flags.DEFINE_integer("resolution", 160, "image side in pixels", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 30, "profiled runs of each file in a turn", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "turns of both files", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

# How XNNPACK calls operations with weights, and how the file does.
_COMPUTES = ("GEMM", "DWConv")
_WITH_WEIGHTS = {
    "CONV_2D": "1x1 convolutions",
    "DEPTHWISE_CONV_2D": "depthwise convolutions",
    "FULLY_CONNECTED": "dense layers",
}
_STEM = "stem convolution"
_CONVERSIONS = ("Convert", "QUANTIZE", "DEQUANTIZE")
_GROUPS = (_STEM, *_WITH_WEIGHTS.values(), "conversions", "all others")
_PRECISIONS = ("float32", "int8")
# A line of LiteRT's table: name, start, first run, mean, share.
_OPERATION = re.compile(r"^\s*(?:Delegate/)?(\S.*?)\s+[0-9.]+\s+[0-9.]+\s+([0-9.]+)\s+[0-9.]+%", re.M)
_CPU = 1
_ELEMENT_TYPES = {"float32": 1, "uint8": 3, "int8": 9}
_MOST_DIMENSIONS = 8


def main(argv):
    """Profiles and prints."""
    del argv
    import dataclasses

    import numpy as np
    import tqdm

    from ofa_tf import spaces
    from ofa_tf.common import write_json
    from ofa_tf.devices.block_models import model_bytes

    space = spaces.get(_SPACE.value)
    rng = np.random.default_rng(0)
    archs = [space.smallest(), *(space.sample(rng) for _ in range(3)), space.largest()]
    rows = []
    for arch in tqdm.tqdm(archs, desc="sub-networks", disable=None):
        arch = dataclasses.replace(arch, r=_RESOLUTION.value)
        files = {kind: Profiled(model_bytes(space.blocks(arch), kind)) for kind in _PRECISIONS}
        turns = {kind: [] for kind in files}
        for _ in range(_ROUNDS.value):
            for kind, file in files.items():
                turns[kind].append(file.times_ms(_RUNS.value))
        times = {kind: np.median(found, axis=0) for kind, found in turns.items()}
        rows.append({"macs": space.count_macs(arch), **_row(files, times)})
    print("operations | " + " | ".join(f"{row['macs'] / 1e6:.0f} M MACs" for row in rows))
    for group in (*_GROUPS, "sum"):
        print(
            f"{group} | " + " | ".join("{float32:.2f} -> {int8:.2f}".format(**row["times_ms"][group]) for row in rows)
        )
    print("int8 of float32 | " + " | ".join(f"{row['int8_of_float32']:.2f}" for row in rows))
    print("a mixture takes at least | " + " | ".join(f"{row['bound_of_float32']:.2f}" for row in rows))
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"space": space.name, "resolution": _RESOLUTION.value, "rows": rows})


def _row(files: dict[str, "Profiled"], times: dict) -> dict:
    """The figures of one sub-network, from the times of the operations of its files."""
    table = {group: dict.fromkeys(files, 0.0) for group in _GROUPS}
    weighted, rest = {}, {}
    for kind, file in files.items():
        for group, time_ms in zip(file.groups, times[kind].tolist(), strict=True):
            table[group][kind] += time_ms
        computes = [group in (_STEM, *_WITH_WEIGHTS.values()) for group in file.groups]
        weighted[kind], rest[kind] = times[kind][computes], times[kind].sum() - times[kind][computes].sum()
    table["sum"] = {kind: float(times[kind].sum()) for kind in files}
    # The same layers in the same order.
    least = sum(min(pair) for pair in zip(*weighted.values(), strict=True)) + min(rest.values())
    return {
        "times_ms": table,
        "int8_of_float32": table["sum"]["int8"] / table["sum"]["float32"],
        "bound_of_float32": float(least) / table["sum"]["float32"],
    }


class Profiled:
    """A TFLite file in LiteRT's C interface, with its profiler.

    Args:
        data: the file, of one input and one output.
    """

    def __init__(self, data: bytes):
        import ai_edge_litert

        from ofa_tf.deploy import Runner

        self._library = ctypes.CDLL(str(pathlib.Path(ai_edge_litert.__file__).with_name("libLiteRt.so")))
        self._kept = [ctypes.create_string_buffer(data, len(data))]
        self._environment, self._model, options, self._compiled, self._profiler = (ctypes.c_void_p() for _ in range(5))
        self._call("CreateEnvironment", 0, None, ctypes.byref(self._environment))
        size = ctypes.c_size_t(len(data))
        self._call("CreateModelFromBuffer", self._environment, self._kept[0], size, ctypes.byref(self._model))
        self._call("CreateOptions", ctypes.byref(options))
        self._call("SetOptionsHardwareAccelerators", options, _CPU)
        self._add(options, b"runtime_options_string", b"enable_profiling = true\n")
        self._add(options, b"xnnpack", b"num_threads = 1\n")
        self._call("CreateCompiledModel", self._environment, self._model, options, ctypes.byref(self._compiled))
        self._call("CompiledModelGetProfiler", self._compiled, ctypes.byref(self._profiler))
        runner = Runner(data)
        self._borders = [
            self._border("Input", runner.input_details, runner.input_type),
            self._border("Output", runner.output_details, runner.output_type),
        ]
        self.groups = self._groups([node.name for node in runner.nodes if node.name in _WITH_WEIGHTS])

    def times_ms(self, runs: int) -> list[float]:
        """The mean time of each operation, in milliseconds, in the order in which they run."""
        return [mean_ms for _, mean_ms in self._profile(runs)]

    def _groups(self, weighted: list[str]) -> list[str]:
        """Of `_GROUPS`, that of each operation, given the kinds of those with weights in the file's order."""
        found, computed = [], 0
        for name, _ in self._profile(1):
            if any(word in name for word in _COMPUTES):
                found.append(_WITH_WEIGHTS[weighted[computed]] if computed else _STEM)
                computed += 1
            else:
                found.append("conversions" if name.startswith(_CONVERSIONS) else "all others")
        if computed != len(weighted):
            raise OfaError(f"a profile has {computed} operations with weights, the file {len(weighted)}")
        return found

    def _profile(self, runs: int) -> list[tuple[str, float]]:
        """Name and mean time in milliseconds of each operation."""
        for _ in range(3):
            self._run()
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        for _ in range(runs):
            self._run()
        self._call("StopProfiler", self._profiler)
        summary = ctypes.c_char_p()
        self._call("GetProfileSummary", self._profiler, self._compiled, ctypes.byref(summary))
        table = summary.value.decode().split("Run Order")[1].split("Top by Computation Time")[0]
        return [(name, float(mean_ms)) for name, mean_ms in _OPERATION.findall(table)]

    def _run(self) -> None:
        taken, given = self._borders
        one = ctypes.c_size_t(1)
        self._call(
            "RunCompiledModel", self._compiled, ctypes.c_size_t(0), one, ctypes.byref(taken), one, ctypes.byref(given)
        )

    def _add(self, options: ctypes.c_void_p, name: bytes, text: bytes) -> None:
        option = ctypes.c_void_p()
        self._kept.append(ctypes.create_string_buffer(text))
        self._call("CreateOpaqueOptions", name, self._kept[-1], _NOTHING_TO_FREE, ctypes.byref(option))
        self._call("AddOpaqueOptions", options, option)

    def _border(self, side: str, details: dict, kind: str) -> ctypes.c_void_p:
        """A buffer for the input or the output."""
        requirements, buffer = ctypes.c_void_p(), ctypes.c_void_p()
        first = ctypes.c_size_t(0)
        self._call(
            f"GetCompiledModel{side}BufferRequirements", self._compiled, first, first, ctypes.byref(requirements)
        )
        shape = [int(size) for size in details["shape"]]
        described = _TensorType(_ELEMENT_TYPES[kind], len(shape), 0, (ctypes.c_int32 * _MOST_DIMENSIONS)(*shape))
        self._call(
            "CreateManagedTensorBufferFromRequirements",
            self._environment,
            ctypes.byref(described),
            requirements,
            ctypes.byref(buffer),
        )
        return buffer

    def _call(self, name: str, *arguments) -> None:
        status = getattr(self._library, f"LiteRt{name}")(*arguments)
        if status:
            raise OfaError(f"LiteRt{name} failed with status {status}; this was written for ai-edge-litert 2.3")


class _TensorType(ctypes.Structure):
    """`LiteRtRankedTensorType` of LiteRT's C interface."""

    _fields_ = (
        ("element_type", ctypes.c_int),
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("dimensions", ctypes.c_int32 * _MOST_DIMENSIONS),
        ("strides", ctypes.c_uint32 * _MOST_DIMENSIONS),
    )


_NOTHING_TO_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda payload: None)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
