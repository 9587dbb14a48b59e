"""A specialization of forty targets over five devices, as large and as untidy as a real one."""

import numpy as np

from ofa_tf import spaces
from ofa_tf.report import (
    PUBLISHED_BASELINES,
    DesignCost,
    ReportBaseline,
    ReportDevice,
    ReportModel,
    ReportPoint,
    ReportTarget,
    SpecializationReport,
)
from tests.report.examples import metrics

SPACE = spaces.get("ofa_mbv3_d234_e346_k357_w1.0", num_classes=10)
WIDE = spaces.get("ofa_mbv3_d234_e346_k357_w1.2")
BUDGETS = 8
COMMAND = (
    "python -m tools.import_ofa --checkpoint=ofa_mbv3_d234_e346_k357_w1.2 --output=ofa_mbv3_d234_e346_k357_w1.2.npz"
)
REASON = (
    "constraints: nothing reaches latency_ms of at most 3.2: the smallest that was found is 4.1127 (1 of 3 rounds); "
    "raise the limit, or give a faster device"
)


def _points(space, count, scale, rng, lift=0.0):
    """Accuracy grows with the logarithm of the work, and is scattered below that."""
    points = []
    for _ in range(count):
        arch = space.sample(rng)
        millions = space.count_macs(arch) / 1e6
        top1 = 0.62 + 0.055 * np.log(millions / 60) + lift - abs(rng.normal(0, 0.012))
        cost = scale * millions * rng.uniform(0.92, 1.08)
        points.append(
            ReportPoint(arch, predicted_ms=cost, predicted_top1=float(top1), costs={"peak_memory_bytes": 900 * cost})
        )
    return points


def _front(points, count):
    best, front = 0.0, []
    for point in sorted(points, key=lambda point: point.predicted_ms):
        if point.predicted_top1 > best:
            best = point.predicted_top1
            front.append(point)
    return front[-count:]


def specialization_report(random_count=40, searched_count=400, **fields):
    """The report; `random_count` is for each device."""
    rng = np.random.default_rng(7)
    kinds = [
        ("this machine, float32", SPACE, "float32", 0.05, "latency_ms"),
        ("this machine, int8", SPACE, "int8", 0.03, "latency_ms"),
        ("RFCW31GQ9TB (Samsung Galaxy A16, SM-A165F), int8", SPACE, "int8", 0.11, "latency_ms"),
        ("Note10, published latency table", WIDE, "float32", 0.08, "latency_ms"),
        ("microcontroller with 512 KB", SPACE, "int8", 0.6, "peak_memory_bytes"),
    ]
    devices, targets = [], []
    for name, space, precision, scale, kind in kinds:
        random = _points(space, random_count, scale, rng)
        front = _front(_points(space, searched_count // 4, scale, rng, lift=0.01), 40)
        attached = name.startswith("this machine")
        baselines = [
            ReportBaseline("MobileNetV3-Large, minimalistic", 9.5 * scale * 20, None, "mobile_bench on this machine"),
            ReportBaseline(
                "MobileNetV3-Large", 11 * scale * 20, 0.752, "mobile_bench on this machine", "ImageNet's validation set"
            ),
            ReportBaseline("EfficientNet-Lite0", 13 * scale * 20, 0.61, "mobile_bench, trained on the same images"),
        ]
        if kind == "peak_memory_bytes":
            baselines = []
        devices.append(
            ReportDevice(
                name,
                "Intel Xeon at 2.80 GHz, 1 thread, ai_edge_litert 2.3.0" if attached else name,
                "1,000 held-out images of Imagenette" if space is SPACE else "ImageNet's validation set, as predicted",
                space,
                front,
                random,
                PUBLISHED_BASELINES["note10"] if space is WIDE else baselines,
                [(p.predicted_ms, p.predicted_ms * rng.uniform(0.95, 1.06)) for p in random[:16]] if attached else (),
                kind,
            )
        )
        for place in range(BUDGETS):
            point = front[(place * (len(front) - 1)) // (BUDGETS - 1)]
            targets.append(_target(name, space, precision, kind, point, place, attached, rng))
    timing = [
        {"stage": stage, "epoch": epoch, "seconds": seconds, "images_per_second": 9000 / seconds}
        for stage, epochs, seconds in (("full", 12, 310), ("kernel", 6, 290), ("depth1", 4, 260), ("expand1", 4, 240))
        for epoch in range(1, epochs + 1)
    ]
    known = {
        "title": "Forty targets from one supernet",
        "targets": targets,
        "devices": devices,
        "metrics": metrics(),
        "cost": DesignCost.from_timing(timing, [21.0, 34.5, 19.0], hardware="2 cores of a Xeon", candidates=205),
        "notes": {"command": "python -m tools.specialize --targets=forty.yaml", "seed": 0, "date": "2026-11-25"},
    }
    return SpecializationReport(**{**known, **fields})


def _target(device, space, precision, kind, point, place, attached, rng):
    limit = float(f"{1.02 * (point.predicted_ms if kind == 'latency_ms' else point.costs[kind]):.3g}")
    limits = {kind: limit}
    if place % 3 == 2:
        limits["model_bytes"] = 8_000_000
    words = f"{limit:g} ms" if kind == "latency_ms" else f"{limit / 1000:.0f} KB"
    name = f"{device}, {words}"
    if place == 3 and attached and precision == "int8":
        return ReportTarget(name, device, precision, limits, "failed", reason=REASON, seconds=12.0)
    macs = space.count_macs(point.arch)
    costs = {"params": float(space.count_params(point.arch)), "model_bytes": 1.05 * space.count_params(point.arch)}
    model = {
        "predicted_ms": point.predicted_ms if kind == "latency_ms" else None,
        "predicted_top1": point.predicted_top1,
        "costs": {**costs, **point.costs},
    }
    if space is WIDE:
        found = ReportModel(name, point.arch, macs, **model)
        return ReportTarget(name, device, precision, limits, "architecture", found, command=COMMAND)
    keras_top1 = point.predicted_top1 + float(rng.normal(0, 0.004))
    stem = name.replace(" ", "_").replace(",", "")
    model |= {"keras_top1": keras_top1, "tflite_top1": keras_top1 - 0.003, "model_bytes": int(costs["model_bytes"])}
    if attached:
        model["measured_ms"] = min(point.predicted_ms * rng.uniform(0.97, 1.02), limit)
    if kind == "peak_memory_bytes":
        model["measured_peak_memory_bytes"] = int(point.costs[kind])
    if place == 6 and attached and precision == "float32":
        model["measured_ms"] = 1.06 * limit
        reason = f"measured {1.06 * limit:.4g} ms in round 3 of 3, over the limit of {limit:g} ms; is the machine busy?"
        found = ReportModel(name, point.arch, macs, **model)
        return ReportTarget(name, device, precision, limits, "failed", found, reason, file=f"models/{stem}.tflite")
    status = "verified" if attached or kind == "peak_memory_bytes" else "exported"
    return ReportTarget(
        name,
        device,
        precision,
        limits,
        status,
        ReportModel(name, point.arch, macs, **model),
        file=f"models/{stem}.tflite",
        model_card=f"models/{stem}.md",
        seconds=21.0,
    )
