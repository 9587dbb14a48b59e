"""Packaging. The versions that are known to work together stand in requirements.lock."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "ofa_tf" / "__init__.py").read_text(encoding="utf-8"), re.M)[1]
README = ROOT / "README.md"

BINARIES = (
    "mobile_bench.benchmark",
    "mobile_bench.build_latency_table",
    "mobile_bench.devices",
    "mobile_bench.microcontroller",
    "mobile_bench.verify",
    "tools.collect_accuracy",
    "tools.convert_latency_table",
    "tools.demo",
    "tools.evaluate",
    "tools.export_tflite",
    "tools.finetune",
    "tools.fit_accuracy_predictor",
    "tools.fit_latency_predictor",
    "tools.import_ofa",
    "tools.pack_supernet",
    "tools.quantize_aware",
    "tools.search",
    "tools.specialize",
    "tools.train",
)

setuptools.setup(
    name="ofa_tf",
    version=VERSION,
    description="Once-for-All networks for TensorFlow: train one supernet, ship a TFLite file for every device.",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    # One top-level package: a folder "tools" of the user's own would else hide ours, or ours theirs.
    packages=[*setuptools.find_packages(include=["ofa_tf", "ofa_tf.*"]), "ofa_tf.mobile_bench", "ofa_tf.tools"],
    package_dir={"ofa_tf.mobile_bench": "mobile_bench", "ofa_tf.tools": "tools"},
    package_data={"ofa_tf": ["py.typed", "**/*.html", "**/*.jpg", "**/*.js", "**/*.json", "**/*.npz"]},
    install_requires=[
        "absl-py",
        "adbutils",
        "ai-edge-litert",
        "flatbuffers",
        "jinja2",
        "keras>=3.15,<4",
        "matplotlib",
        "ml_collections",
        "numpy>=2,<3",
        "pillow>=11.3",
        "pyyaml",
        "scikit-learn",
        "scipy",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets",
        "importlib_resources",  # tensorflow-datasets needs it and does not say so
        "threadpoolctl",
        "tqdm",
    ],
    extras_require={
        "dev": [
            "hypothesis",
            "import-linter>=2.4",
            "ipykernel",
            "mypy",
            "nbclient",
            "nbformat",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "tflite-micro>=0.dev0",
        ],
        "heif": ["pillow-heif"],
        "mediapipe": ["mediapipe>=1,<2"],
        "micro": ["tflite-micro>=0.dev0"],
        "onnx": ["onnxruntime", "tf2onnx"],
        "qat": ["tensorflow-model-optimization", "tf_keras>=2.21,<2.22"],
        "ray": ["ray"],
        "tensorboard": ["tensorboard"],
        "torch": ["torch"],
    },
    entry_points={
        "console_scripts": [
            f"ofa-{binary.rpartition('.')[2].replace('_', '-')} = ofa_tf.{binary}:run" for binary in BINARIES
        ],
    },
)
