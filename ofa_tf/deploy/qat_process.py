"""The process in which a quantized network is trained; `deploy.qat` starts it, and nothing imports it.

What tensorflow_model_optimization needs, `tf_keras`, must not meet the Keras of the calling process. The job's folder
says what to train (`job.json`, `weights.npz`). Batches come on stdin, as bytes, and each is answered on stdout with a
line of JSON; at the end the folder holds `model.tflite`.
"""

import json
import os
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from ofa_tf.common import InputError, OfaError, RecordFormat, load_npz, read_json
from ofa_tf.common.config import check_whole
from ofa_tf.deploy.convert import convert
from ofa_tf.deploy.quantized_network import quantized
from ofa_tf.spaces import Block

_FORMAT = RecordFormat(
    "ofa_tf quantization-aware training",
    "delete it to begin anew, or give the former settings to resume",
    former=(None,),
)


def main() -> None:
    """Trains the job whose folder is the last argument."""
    # What is printed by libraries must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        _train(pathlib.Path(sys.argv[-1]), answer)
    except OfaError as error:
        answer(error=str(error), exit_code=error.exit_code)


def _train(folder: pathlib.Path, answer: Callable[..., None]) -> None:
    job = read_json(folder / "job.json", "job of quantization-aware training")
    weights: dict[str, list[np.ndarray]] = {}
    for key, values in load_npz(folder / "weights.npz").items():
        weights.setdefault(key.rpartition("/")[0], []).append(values)
    net = quantized([Block(**block) for block in job["blocks"]], weights, job["form"])
    schedule = tf_keras.optimizers.schedules.CosineDecay(job["learning_rate"], job["steps"])
    optimizer = tf_keras.optimizers.Adam(schedule)
    optimizer.build(net.trainable_variables)
    epoch = _resumed(job, net, optimizer)
    step_of = _traced_step(net, optimizer)
    answer(epoch=epoch)
    if epoch == 0:
        for _ in range(job["range_batches"]):
            images, _ = _batch(job)
            net(_inputs(images), training=True)
            answer()
    for step in range(epoch * job["epoch_steps"], job["steps"]):
        loss, agreement = step_of(*_batch(job))
        if (step + 1) % job["epoch_steps"] == 0:
            _save(job, net, optimizer, (step + 1) // job["epoch_steps"])
        answer(loss=float(loss), agreement=float(agreement))
    data = convert(net, "int8", trained_ranges=True, input_type="uint8", output_type="uint8")
    (folder / "model.tflite").write_bytes(data)
    answer()


def _batch(job: dict) -> tuple[np.ndarray, np.ndarray]:
    """The next images, uint8 (batch, r, r, 3), and the float network's logits, float32 (batch, classes)."""
    side, classes = job["blocks"][0]["input_size"], job["blocks"][-1]["out_channels"]
    arrays = []
    for shape, kind in (((side, side, 3), np.uint8), ((classes,), np.float32)):
        values = np.empty((job["batch_size"], *shape), kind)
        if sys.stdin.buffer.readinto(memoryview(values).cast("B")) < values.nbytes:
            # The calling process is gone, and with it whoever wants to know.
            sys.exit(1)
        arrays.append(values)
    return tuple(arrays)


def _inputs(images: tf.Tensor) -> tf.Tensor:
    return (tf.cast(images, tf.float32) - 128.0) / 128.0


def _traced_step(net, optimizer):
    """One step towards the float network's outputs; gives the divergence from them and the share of equal classes."""

    @tf.function(autograph=False)
    def step(images, expected):
        variables = net.trainable_variables
        target = tf.nn.log_softmax(expected)
        with tf.GradientTape() as tape:
            logits = net(_inputs(images), training=True)
            difference = target - tf.nn.log_softmax(logits)
            loss = tf.reduce_mean(tf.reduce_sum(tf.exp(target) * difference, axis=1))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        equal = tf.equal(tf.argmax(logits, 1), tf.argmax(expected, 1))
        return loss, tf.reduce_mean(tf.cast(equal, tf.float32))

    return step


def _state(net, optimizer) -> dict[str, tf.Variable]:
    variables = [("net", net.variables), ("optimizer", optimizer.variables)]
    return {f"{part}/{index}": variable for part, found in variables for index, variable in enumerate(found)}


def _save(job: dict, net, optimizer, epoch: int) -> None:
    if job["checkpoint"]:
        arrays = {name: variable.numpy() for name, variable in _state(net, optimizer).items()}
        _FORMAT.save_npz(job["checkpoint"], {"identity": job["identity"], "epoch": epoch}, arrays)


def _resumed(job: dict, net, optimizer) -> int:
    """Restores an interrupted run; returns how many epochs are done."""
    path = job["checkpoint"]
    if not path or not pathlib.Path(path).is_file():
        return 0
    fields, arrays = _FORMAT.load_npz(path)
    with _FORMAT.reading(path):
        if fields["identity"] != job["identity"]:
            raise InputError("is of another network, other images or another recipe")
        for name, variable in _state(net, optimizer).items():
            variable.assign(arrays[name])
        check_whole("epoch", fields["epoch"], 1)
        return fields["epoch"]
