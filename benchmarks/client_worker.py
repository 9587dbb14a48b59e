"""Runs `.tflite` files in one client of apps; benchmarks.clients starts it with any Python from 3.7 on.

    python client_worker.py CLIENT JOB.json ANSWERS.npz

The job has the paths of files, of photos, and of an array of prepared images. Answers are scores, (images, classes) for
each file; on stdout stands what else there is to say of each, as JSON.
"""

import json
import sys

import numpy as np


def tflite_runtime(path, images):
    """The interpreter of tflite-runtime."""
    from tflite_runtime.interpreter import Interpreter

    return interpreted(Interpreter, path, images)


def ai_edge_litert(path, images):
    """The interpreter of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    return interpreted(Interpreter, path, images)


def tensorflow(path, images):
    """The interpreter of TensorFlow, tf.lite."""
    import tensorflow as tf

    return interpreted(tf.lite.Interpreter, path, images)


def tflite_micro(path, images):
    """The interpreter of microcontrollers."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(path)
    details = interpreter.get_input_details(0), interpreter.get_output_details(0)
    scores = []
    for image in images:
        interpreter.set_input(taken(image, details[0]["dtype"])[None], 0)
        interpreter.invoke()
        scores.append(interpreter.get_output(0)[0])
    quantization = details[1]["quantization_parameters"]
    scale, zero_point = quantization["scales"], quantization["zero_points"]
    scores = np.array(scores, np.float32)
    return ((scores - zero_point[0]) * scale[0] if len(scale) else scores), {}


def mediapipe(path, images, centred=False):
    """MediaPipe's ImageClassifier, which stretches the photos, or takes the part that it is told to."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision
    from mediapipe.tasks.python.components.containers.rect import RectF

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path))
    scores, names = [], set()
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for photo in images:
            image, region = mp.Image.create_from_file(photo), None
            if centred:
                side = 0.875 * min(image.width, image.height)
                x, y = side / image.width / 2, side / image.height / 2
                centre = RectF(left=0.5 - x, top=0.5 - y, right=0.5 + x, bottom=0.5 + y)
                region = vision.ImageProcessingOptions(region_of_interest=centre)
            answers = classifier.classify(image, region).classifications[0].categories
            scores.append([answer.score for answer in sorted(answers, key=lambda answer: answer.index)])
            names |= {answer.category_name for answer in answers}
    return np.array(scores, np.float32), {"names": sorted(map(str, names))}


def mediapipe_centred(path, images):
    """The same on the centre square, as the network was trained."""
    return mediapipe(path, images, centred=True)


def interpreted(interpreter_class, path, images):
    """The dequantized scores of any interpreter of TensorFlow's kind."""
    interpreter = interpreter_class(model_path=path)
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    scores = []
    for image in images:
        interpreter.set_tensor(inputs["index"], taken(image, inputs["dtype"])[None])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(outputs["index"])[0])
    scale, zero_point = outputs["quantization"]
    scores = np.array(scores, np.float32)
    return ((scores - zero_point) * scale if scale else scores), {}


def taken(image, dtype):
    """Pixels as a file takes them, as its description says."""
    return image if dtype == np.uint8 else (image.astype(np.float32) - 128) / 128


def main():
    """Runs every file of the job."""
    client, job, answers = sys.argv[1:]
    with open(job, encoding="utf-8") as file:
        job = json.load(file)
    images = job["photos"] if client.startswith("mediapipe") else np.load(job["images"])
    scores = {}
    for name, path in job["files"].items():
        try:
            scores[name], more = globals()[client](path, images)
            print(json.dumps({"file": name, **more}), flush=True)
        except Exception as error:
            print(json.dumps({"file": name, "refused": " ".join(str(error).split())[:300]}), flush=True)
    np.savez(answers, **scores)


if __name__ == "__main__":
    main()
