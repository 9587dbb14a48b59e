"""The process behind `benchmark_model.py`: runs models through ai_edge_litert, writes what LiteRT's tool would print.

It asks each phone, at a socket in that one's folder, what shall go wrong with a run.
"""

import json
import os
import select
import socket
import sys
import threading
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

_OPTIONS = {
    "num_runs": "50",
    "min_secs": "1",
    "max_secs": "150",
    "warmup_runs": "1",
    "warmup_min_secs": "0.5",
    "num_threads": "1",
    "graph": "",
    "enable_op_profiling": "false",
    "help": "false",
}
_ACCELERATORS = {
    "tflite": ("use_xnnpack", "use_gpu", "use_nnapi"),
    "old": ("use_xnnpack", "use_gpu", "use_nnapi"),
    "litert": ("use_cpu", "use_gpu", "use_npu"),
}


class Gone(Exception):
    """The tool was ended from outside."""


class Run:
    """One run of the tool."""

    def __init__(self, connection, folder, arguments, faults):
        self._connection, self._faults = connection, faults
        self._arguments, self._folder = arguments, folder
        self._said = ""
        self._style = self._faults["style"]
        self._prefix = "" if self._style == "old" else "INFO: "

    def answer(self):
        """Runs the tool; its exit code."""
        known = [*_OPTIONS, *_ACCELERATORS[self._style]]
        known = [name for name in known if name not in self._faults["unknown_options"]]
        given = dict(argument[2:].partition("=")[::2] for argument in self._arguments[1:])
        options = {**_OPTIONS, **{name: value for name, value in given.items() if name in known}}
        self._say("STARTING!")
        if options["help"] in ("true", ""):
            flags = "".join(f"\t--{name}={_OPTIONS.get(name, 'false')}\tstring\toptional\t\n" for name in known)
            self._write(f"ERROR: usage: {self._arguments[0]} <flags>\nFlags:\n{flags}\n")
            return 1
        unknown = [f"--{name}={value}" for name, value in given.items() if name not in known]
        if unknown:
            self._write(f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}\n")
        self._say(f"Graph: [{options['graph']}]")
        if self._faults["hanging"]:
            self._send()
            while True:
                self._listen(1.0)
        start = time.perf_counter()
        try:
            model = self._load(options)
        except (ValueError, RuntimeError, OSError) as error:
            self._write(f"ERROR: Failed to initialize the model: {error}\nERROR: Benchmarking failed.\n")
            return 1
        init_us = int((time.perf_counter() - start) * 1e6)
        self._say(f"Initialized session in {init_us / 1000:g}ms.")
        warmup = self._phase(model, options, "warmup_runs", "warmup_min_secs", self._faults["slow_first_seconds"])
        if self._faults["killed"]:
            return None
        times = self._phase(model, options, "num_runs", "min_secs")
        self._summary(init_us, warmup, times)
        if options["enable_op_profiling"] == "true":
            self._profile(model, np.mean(times) / 1000)
        return 0

    def _load(self, options):
        path = os.path.join(self._folder, options["graph"])
        plain = options.get("use_xnnpack") == "false"
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
        with open(path, "rb") as file:
            model = Interpreter(
                model_content=file.read(),
                num_threads=int(options["num_threads"]),
                experimental_op_resolver_type=resolver,
            )
        model.allocate_tensors()
        rng = np.random.default_rng(0)
        for details in model.get_input_details():
            values = rng.integers(0, 127, details["shape"]) if np.issubdtype(details["dtype"], np.integer) else None
            values = rng.standard_normal(details["shape"]) if values is None else values
            model.set_tensor(details["index"], values.astype(details["dtype"]))
        self._say(f"Loaded model {options['graph']}")
        for name in ("use_gpu", "use_nnapi", "use_npu"):
            if options.get(name) == "true":
                # This machine has none; the tool goes on without, and says so.
                self._say(
                    "Though a delegate is explicitly applied, the model graph will not be executed by the delegate."
                )
        if options.get("use_xnnpack") == "true":
            self._say(
                "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate."
            )
        return model

    def _phase(self, model, options, runs, seconds, slower=0.0):
        count, least, most = int(options[runs]), float(options[seconds]), float(options["max_secs"])
        self._say(
            f"Running benchmark for at least {count} iterations and at least {least:g} seconds but terminate if "
            f"exceeding {most:g} seconds."
        )
        self._send()
        times, total, listened = [], 0.0, time.perf_counter()
        while (len(times) < count or total < least) and total < most:
            start = time.perf_counter()
            model.invoke()
            if not times and slower:
                time.sleep(slower)
            now = time.perf_counter()
            times.append(max(1, round((now - start) * 1e6)))
            total += now - start
            if now - listened > 0.02:
                listened = now
                self._listen(0)
        if self._faults["coarse_clock"]:
            times = [*[0] * (len(times) - 1), min(900, max(times))]
        self._say(self._statistics(np.array(times)))
        self._write("\n")
        return times

    def _statistics(self, times):
        more = ""
        if self._style != "old":
            low, median, high = np.percentile(times, [5, 50, 95], method="nearest")
            more = f" p5={low} median={median} p95={high}"
        if len(times) == 1:
            return f"count=1 curr={times[0]}{more}"
        if times.min() == times.max():
            return f"count={len(times)} curr={times[-1]}(all same)"
        return (
            f"count={len(times)} first={times[0]} curr={times[-1]} min={times.min()} max={times.max()} "
            f"avg={times.mean():.6g} std={int(times.std())}{more}"
        )

    def _summary(self, init_us, warmup, times):
        warmup, times = np.array(warmup), np.array(times)
        if self._style == "litert":
            lines = [
                "\n========== BENCHMARK RESULTS ==========",
                f"Model initialization: {init_us / 1000:.2f} ms",
                f"Warmup (first):       {warmup[0] / 1000:.2f} ms",
                f"Warmup (avg):         {warmup.mean() / 1000:.2f} ms ({len(warmup)} runs)",
                f"Inference (avg):      {times.mean() / 1000:.2f} ms ({len(times)} runs)",
                f"Inference (min):      {times.min() / 1000:.2f} ms",
                f"Inference (max):      {times.max() / 1000:.2f} ms",
                f"Inference (std):      {times.std() / 1000:.2f}",
                "======================================\n",
            ]
            for number, line in enumerate(lines, start=81):
                self._say(f"[./litert/tools/benchmark_litert_model.h:{number}] {line}")
            return
        self._say(
            f"Inference timings in us: Init: {init_us}, First inference: {warmup[0]}, "
            f"Warmup (avg): {warmup.mean():.6g}, Inference (avg): {times.mean():.6g}"
        )
        self._say("Memory footprint delta from the start of the tool (MB): init=4.21094 overall=6.53516")

    def _profile(self, model, mean_ms):
        """A table in the tool's form; the interpreter tells no times of operations, so that each has its share."""
        types = [operation["op_name"] for operation in model._get_ops_details() if operation["op_name"] != "DELEGATE"]
        heads = ("[node type]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]", "[Name]")
        rows = "".join(
            f"\t{node_type:>36}\t{mean_ms / len(types):9.3f}\t{mean_ms / len(types):9.3f}\t{100 / len(types):7.3f}%"
            f"\t{100 * index / len(types):7.3f}%\t{0:10.3f}\t{1:9d}\t[{node_type.lower()}]:{index - 1}\n"
            for index, node_type in enumerate(types, start=1)
        )
        self._say("Operator-wise Profiling Info for Regular Benchmark Runs:")
        self._write(f"{'=' * 30} Run Order {'=' * 30}\n\t" + "\t".join(heads) + f"\n{rows}\n")
        self._write(f"Number of nodes executed: {len(types)}\n")

    def _say(self, line):
        self._write(f"{self._prefix}{line}\n")

    def _write(self, text):
        if self._faults["garbled"]:
            text = "".join(
                "\x01\ufffd#"[index % 3] if char in "0123456789=" else char for index, char in enumerate(text)
            )
        if self._faults["partial"] and "Inference" in text:
            return
        self._said += text

    def _send(self, end=b""):
        data, self._said = self._said.encode() + end, ""
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise Gone from error

    def _listen(self, seconds):
        # The tool sends nothing after its request: what can be read is its end.
        if select.select([self._connection], [], [], seconds)[0]:
            raise Gone

    def serve(self):
        """Answers the request."""
        try:
            code = self.answer()
            self._send(b"\0" if code is None else f"\0{code}".encode())
        except Gone:
            pass


def _serve(connection):
    with connection, connection.makefile("rb") as received, socket.socket(socket.AF_UNIX) as asked:
        length = int.from_bytes(received.read(4), "big")
        phone, folder, *arguments = received.read(length).decode().split("\0")
        asked.connect(os.path.join(phone, "faults"))
        asked.sendall(json.dumps(arguments).encode() + b"\n")
        Run(connection, folder, arguments, json.loads(asked.makefile(encoding="utf-8").readline())).serve()


def main(path):
    """Listens at the socket `path` for as long as its stdin is open."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    print("ready", flush=True)
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        threading.Thread(target=_serve, args=(server.accept()[0],), daemon=True).start()
