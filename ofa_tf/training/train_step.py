"""`TrainStep`: one optimizer step over any number of sub-networks, traced once for a whole run."""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.data import Preprocessing
from ofa_tf.networks import Supernet, masks, recomputation
from ofa_tf.spaces import TENSOR_COLUMNS
from ofa_tf.training.recipe import PRECISIONS


def soft_targets(labels, classes: int) -> tf.Tensor:
    """Soft targets, float32 (batch, classes), of integer labels; those of blended images are such already."""
    labels = tf.convert_to_tensor(labels)
    return tf.one_hot(labels, classes) if labels.dtype.is_integer else labels


def distillation_loss(logits, targets, teacher_probabilities, *, label_smoothing, kd_ratio, label_ratio=1.0):
    """Cross-entropy with the smoothed labels, plus cross-entropy with the teacher, the mean over the batch.

    Source: Cai et al., section 3.3; docs/method.md, "Progressive shrinking".
    """
    classes = tf.cast(tf.shape(logits)[1], tf.float32)
    targets = targets * (1.0 - label_smoothing) + label_smoothing / classes
    # Both parts are linear in their targets, so one cross-entropy computes their sum.
    targets = label_ratio * targets + kd_ratio * teacher_probabilities
    return tf.reduce_mean(-tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=1))


def feature_distance(maps, logits, teacher_maps, teacher_logits) -> tf.Tensor:
    """The squared distance of a sub-network's maps from its teacher's, and that of the logits, as parts of the
    teacher's variance: 1 for a sub-network that gives every image the mean. Twice the mean over the maps, as they are
    what a few kinds of photos can teach of all others.

    Source: Romero et al., "FitNets", ICLR 2015; docs/results/photos.md has what it is worth.
    """
    parts = [_relative_distance(own, theirs) for own, theirs in zip(maps, teacher_maps, strict=True)]
    return 2.0 * tf.add_n(parts) / len(parts) + _relative_distance(logits, teacher_logits)


def _relative_distance(own: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    own, theirs = tf.cast(own, tf.float32), tf.cast(theirs, tf.float32)
    channels = list(range(own.shape.rank - 1))
    variance = tf.reduce_mean(tf.math.reduce_variance(theirs, channels))
    return tf.reduce_mean(tf.math.squared_difference(own, theirs)) / (variance + 1e-6)


def top1_accuracy(logits, targets) -> tf.Tensor:
    """Share of images whose largest logit is that of the class with the largest share, a float32 scalar."""
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(targets, 1)), tf.float32))


class FusedSGD(keras.optimizers.SGD):
    """SGD whose momentum and update are TensorFlow's own kernel instead of six operations on whole variables.

    Values, slots and their order are those of `keras.optimizers.SGD`.
    """

    def update_step(self, gradient, variable, learning_rate):
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        slot = self.momentums[self._get_variable_index(variable)].value
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle, accum=slot.handle, lr=learning_rate, grad=gradient, momentum=self.momentum,
            use_nesterov=self.nesterov,
        )  # fmt: skip


# Far from each other, so that no replica drops the features that another dropped.
_REPLICA_SEEDS = 1 << 20


class TrainStep:
    """The step of every stage: distil, sum the gradients of the step's sub-networks, update.

    Everything that differs between steps and stages (image size, architectures and their number, learning rate, the
    teacher's weight, who teaches) is a tensor, so that one trace serves all stages and schedules.

    What no sub-network of a step uses still decays and moves by its momentum, as in the published training (whose
    PyTorch, before 2.0, filled unused gradients with zeros).

    Under a `tf.distribute` strategy each replica takes its rows of this worker's batch, all of them the same
    sub-networks; gradients are averaged over all replicas, batch norms see their own replica's images. Networks and
    step are made in the strategy's scope.

    Args:
        net: the supernet that learns.
        teacher: a supernet of the same space, run at its largest with batch statistics; or what gives the probabilities
            of uint8 images (see `ofa_tf.training.teacher`); or None, then `kd_ratio` has no effect.
        preprocessing: normalizes the images.
        feature_teacher: a supernet of the same space, whose largest sub-network's maps and logits, by the statistics of
            the same batch, are what `feature_ratio` weighs the distance from; None where nothing does.
        momentum: Nesterov momentum.
        weight_decay: coupled L2, on everything but batch norms and biases.
        label_smoothing: see `distillation_loss`.
        label_ratio: weight of the labels; 0 where only the teacher knows anything.
        precision: see `Recipe`.
        jit_compile: XLA compiles the step, once for each image size, batch and number of sub-networks. Masks take the
            place of slices then (`layers.masks`): every sub-network costs what the largest does, but for skipped
            blocks. Dropout draws other features. On one device only.

        recompute: blocks keep their inputs alone for the gradient and are computed a second time for it: memory for
            larger batches, at the cost of one more forward pass. Nothing else changes.

    Raises:
        InputError: `jit_compile` with several devices.

    Source: docs/method.md, "Progressive shrinking".
    """

    def __init__(
        self,
        net: Supernet,
        teacher: Supernet | Callable[[tf.Tensor], tf.Tensor] | None,
        preprocessing: Preprocessing,
        *,
        feature_teacher: Supernet | None = None,
        momentum: float = 0.9,
        weight_decay: float = 3e-5,
        label_smoothing: float = 0.1,
        label_ratio: float = 1.0,
        precision: str = "float32",
        jit_compile: bool = False,
        recompute: bool = False,
    ):
        self.net = net
        self.teacher = teacher
        self.preprocessing = preprocessing
        self.feature_teacher = feature_teacher
        self.strategy = tf.distribute.get_strategy()
        # The default strategy, of one device, refuses to list it.
        self._local = len(self.strategy.extended.worker_devices) if tf.distribute.has_strategy() else 1
        check_compiled(jit_compile, self.strategy.num_replicas_in_sync)
        self._compute_dtype = PRECISIONS[precision]
        self._masked = jit_compile
        self._recompute = recompute
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.label_ratio = label_ratio
        self.optimizer = FusedSGD(0.0, momentum=float(momentum), nesterov=True)
        self.optimizer.build(net.trainable_variables)
        self._largest = net.space.to_array(net.space.largest())
        # The signature makes a second trace impossible: what does not fit it is an error. XLA needs static shapes.
        signature = [
            tf.TensorSpec((None, None, None, 3), tf.uint8),
            tf.TensorSpec((None, net.space.num_classes), tf.float32),
            tf.TensorSpec((None, len(net.space.positions), TENSOR_COLUMNS), tf.int32),
            *[tf.TensorSpec((), tf.float32)] * 4,
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.bool),
            tf.TensorSpec((), tf.float32),
        ]
        self.run = tf.function(
            self._run,
            autograph=False,
            jit_compile=jit_compile or None,
            input_signature=None if jit_compile else signature,
        )

    def __call__(
        self,
        images,
        labels,
        archs,
        *,
        learning_rate: float,
        kd_ratio: float,
        dropout: float,
        seed,
        feature_ratio: float = 0.0,
        in_place: bool = False,
        stop: bool = False,
    ):
        """One step.

        Args:
            images: uint8 (batch, height, width, 3), this worker's share, divisible by its replicas.
            labels: int32 (batch,), or float32 (batch, classes), soft targets.
            archs: int32 (subnets, positions, 6), stacked `Space.to_array`.
            learning_rate: of this step.
            kd_ratio: weight of the teacher; at 0 it is not run.
            dropout: rate before the classifier.
            seed: two ints that decide the dropout.
            feature_ratio: weight of the distance from the feature teacher; at 0 it is not run.
            in_place: the first sub-network learns from the labels and teaches the others, which learn from it alone
                (then `kd_ratio` is 0: there is no other teacher).
            stop: whether this worker was asked to stop.

        Returns:
            float32 scalars, the same on all workers: the loss summed over the sub-networks, the mean top-1 of the last
            one, and a number above 0 where any worker was asked to stop.
        """
        as_float = [tf.constant(value, tf.float32) for value in (learning_rate, kd_ratio, feature_ratio, dropout)]
        return self.run(
            images,
            soft_targets(labels, self.net.space.num_classes),
            archs,
            *as_float,
            tf.constant(seed, tf.int32),
            tf.constant(in_place),
            tf.constant(stop, tf.float32),
        )

    def _run(self, images, targets, archs, learning_rate, kd_ratio, feature_ratio, dropout, seed, in_place, stop):
        # Outside the replicas: it is no figure of theirs.
        self.optimizer.learning_rate.assign(learning_rate)
        replica_inputs = images, targets, archs, kd_ratio, feature_ratio, dropout, seed, in_place, stop
        with masks(self._masked), recomputation(self._recompute):
            results = self.strategy.run(self._on_replica, replica_inputs)
        return [self.strategy.experimental_local_results(result)[0] for result in results]

    def _on_replica(self, images, targets, archs, kd_ratio, feature_ratio, dropout, seed, in_place, stop):
        context = tf.distribute.get_replica_context()
        replicas, own = self.strategy.num_replicas_in_sync, context.replica_id_in_sync_group
        if self._local > 1:
            count = tf.shape(targets)[0] // self._local
            first = own % self._local * count
            images, targets = images[first : first + count], targets[first : first + count]
        seed += tf.stack([_REPLICA_SEEDS * own, 0])
        pixels, images = images, tf.cast(self.preprocessing.normalize(images), self._compute_dtype)
        teacher = nobody = tf.zeros((tf.shape(images)[0], self.net.space.num_classes))
        if self.feature_teacher is not None:
            # Where it answers, too, one pass gives both.
            answers_too = self.teacher is self.feature_teacher
            asked = tf.logical_or(feature_ratio > 0, tf.logical_and(answers_too, kd_ratio > 0))
            teacher_maps, teacher_logits = self._features_of_teacher(images, asked)
        if self.feature_teacher is not None and answers_too:
            teacher = tf.nn.softmax(teacher_logits)
        elif self.teacher is not None:
            teacher = tf.cond(kd_ratio > 0, lambda: self._answers(pixels, images), lambda: nobody)
        variables = self.net.trainable_variables

        def subnet(index, loss_sum, _, teacher, gradients):
            taught = tf.logical_and(in_place, index > 0)
            with tf.GradientTape() as tape:
                subnet_seed = tf.stack([seed[0], seed[1] * 1024 + index])
                maps, logits = self.net.features(images, archs[index], training=True, dropout=(dropout, subnet_seed))
                loss = distillation_loss(
                    logits,
                    targets,
                    teacher,
                    label_smoothing=self.label_smoothing,
                    kd_ratio=tf.where(taught, 1.0, kd_ratio),
                    label_ratio=tf.where(taught, 0.0, self.label_ratio),
                )
                if self.feature_teacher is not None:
                    distance = functools.partial(feature_distance, maps, logits, teacher_maps, teacher_logits)
                    loss += feature_ratio * tf.cond(feature_ratio > 0, distance, lambda: tf.zeros(()))
                own_share = loss / replicas  # the optimizer sums over the replicas
            new = tape.gradient(own_share, [variable.value for variable in variables])
            for gradient, variable in zip(new, variables, strict=True):
                gradient.set_shape(variable.shape)  # lost where only a slice of the variable was used
            top1 = top1_accuracy(logits, targets)
            # Outside the tape: nothing flows back into the one that teaches.
            taught_by_first = tf.cond(
                tf.logical_and(in_place, tf.equal(index, 0)), lambda: tf.nn.softmax(logits), lambda: teacher
            )
            teacher = tf.ensure_shape(taught_by_first, teacher.shape)  # a loop's variables keep their shapes
            gradients = [old + add for old, add in zip(gradients, new, strict=True)]
            return index + 1, loss_sum + loss, top1, teacher, gradients

        # Coupled weight decay is where the sum of the gradients starts.
        decay = self.weight_decay / replicas
        start = [
            decay * tf.convert_to_tensor(variable) if decays(variable) else tf.zeros(variable.shape)
            for variable in variables
        ]
        _, loss, top1, _, gradients = tf.while_loop(
            lambda index, *_: index < tf.shape(archs)[0],
            subnet,
            (0, 0.0, 0.0, teacher, start),
            parallel_iterations=1,
        )
        self.optimizer.apply(gradients)
        # Only what was made on the replica has a device.
        return context.all_reduce(tf.distribute.ReduceOp.MEAN, [loss, top1, tf.identity(stop)])

    def _features_of_teacher(self, images, asked) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Maps and logits of the feature teacher; where it is not asked, zeros of which maps have one element only."""

        def features():
            maps, logits = self.feature_teacher.features(images, self._largest, training=False)
            return [*maps, logits]

        def nothing():
            widths = [self.net.blocks[row].block.out_channels for row in self.net.feature_rows]
            maps = [tf.zeros((1, 1, 1, width), images.dtype) for width in widths]
            return [*maps, tf.zeros((tf.shape(images)[0], self.net.space.num_classes))]

        *maps, logits = tf.cond(asked, features, nothing)
        return maps, logits

    def _answers(self, pixels, images):
        if isinstance(self.teacher, Supernet):
            return tf.nn.softmax(self.teacher.batch_statistics(images, self._largest)[0])
        return self.teacher(pixels)


def check_compiled(jit_compile: bool, devices: int) -> None:
    """Raises `InputError` where a step is to be compiled by XLA for several devices."""
    if jit_compile and devices > 1:
        raise InputError(
            f"recipe: jit_compile is for one device, here are {devices}; leave it out, or give --distribute=one"
        )


def decays(variable) -> bool:
    """Whether weight decay applies: to kernels and kernel-transform matrices, not to batch norms and biases."""
    return variable.name not in ("gamma", "beta", "bias")
