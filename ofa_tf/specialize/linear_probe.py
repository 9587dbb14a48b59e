"""A classifier for new classes, fitted to the features of a trained supernet: where learning them begins.

A random classifier's first gradients would spoil features that know the photos already; a fitted one's are small.
"""

import dataclasses

import keras
import numpy as np

from ofa_tf.data import ImageDataset
from ofa_tf.data.holding_out import stratified_indices
from ofa_tf.networks import PackedSupernet
from ofa_tf.specialize.opened import of_packed

# Photos that it is fitted to, some of each class; and the inverse strength of its regularization on features of unit
# spread.
_PHOTOS, _INVERSE_STRENGTH = 5000, 0.01
_BATCH, _ITERATIONS = 100, 200
_CLASSIFIER = "head_classifier"


def with_fitted_classifier(packed: PackedSupernet, dataset: ImageDataset, resize: str | None = None) -> PackedSupernet:
    """A supernet with a classifier for a data set's classes, by logistic regression on its largest network's features.

    Args:
        packed: the supernet, of any classes; it stays as it is.
        dataset: with the photos to learn from in "train".
        resize: how photos become squares, see `Preprocessing`; as the supernet's did unless given.

    Returns:
        Another one of these classes. Of a class that none of the photos shows, outputs are random.

    Source: Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", 2022.

    Example:
        initial = with_fitted_classifier(read_initial("ofa_efficientnet_lite"), load("folder", "photos"))
    """
    # Takes seconds to import.
    from sklearn.linear_model import LogisticRegression

    opened = of_packed(packed, _some_of_each_class(dataset), "initial", resize)
    space, evaluator = opened.net.space, opened.evaluator
    arch = dataclasses.replace(space.largest(), r=space.resolutions[len(space.resolutions) // 2])
    model = opened.net.extract(arch, opened.statistics(arch))
    classifier = model.get_layer(_CLASSIFIER)
    features = keras.Model(model.input, classifier.input)
    images, labels = evaluator.images("train", arch.r)
    found = np.concatenate(
        [
            features.predict_on_batch(np.asarray(evaluator.preprocessing.normalize(images[start : start + _BATCH])))
            for start in range(0, len(images), _BATCH)
        ]
    )
    mean, spread = found.mean(0), found.std(0) + 1e-6
    fitted = LogisticRegression(C=_INVERSE_STRENGTH, max_iter=_ITERATIONS).fit((found - mean) / spread, labels)
    rows, offsets = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        # Of two classes it gives the second one's alone.
        rows, offsets = np.concatenate([-rows, rows]) / 2, np.concatenate([-offsets, offsets]) / 2
    kernel, bias = (weight.copy() for weight in classifier.get_weights())
    kernel[:, fitted.classes_] = (rows / spread).T
    bias[fitted.classes_] = offsets - rows @ (mean / spread)
    state = opened.net.state()
    state |= {"head/classifier/kernel": kernel, "head/classifier/bias": bias}
    opened.net.load_state(state, source="the fitted classifier")
    return dataclasses.replace(packed, net=opened.net, class_names=tuple(dataset.class_names), dataset={})


def _some_of_each_class(dataset: ImageDataset) -> ImageDataset:
    """The data set with no more training images than the classifier is fitted to, of the rarest class at least one."""
    train = dataset.split("train")
    if len(train) <= _PHOTOS:
        return dataset
    chosen = stratified_indices(train.labels, _PHOTOS, seed=0)
    missing = np.setdiff1d(train.labels, train.labels[chosen])
    rare = [int(np.argmax(train.labels == label)) for label in missing]
    few = train.take("photos for the classifier", np.union1d(chosen, rare).astype(chosen.dtype))
    return dataclasses.replace(dataset, splits={**dataset.splits, "train": few})
