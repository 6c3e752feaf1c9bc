"""The model that trains a generative pair."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasbn")
class GAN(keras.Model):
    """A generator and a discriminator that `fit` trains on images.

    The discriminator learns to tell the images from the generator's, and the
    generator to be taken for real (the non-saturating loss). Both take their
    step at once, with the gradients of one batch:

        judged = discriminator(generator(noise))
        discriminator_loss = mean(-log p(images), -log(1 - p(judged)))
        generator_loss = -log p(judged), p = sigmoid

    Neither gradient reaches the weights of the other network, so that one
    optimizer serves both: adaptive ones keep a state per weight. `compile`
    takes nothing else, because the losses are the model's own. The paper's
    optimizer is Adam with a learning rate of 2e-4 and `beta_1` 0.5, where the
    usual 1e-3 and 0.9 oscillate. Do not pass `global_clipnorm`, which would
    scale the one by the norm of the other; the default of `kerasbn.optimizers`
    clips each variable by itself.

    Called on images, the model returns the discriminator's logits. The progress
    line shows both losses: at the start both are log 2 = 0.69, and a
    discriminator loss near 0 means that the generator has lost.

    Args:
        generator: Makes images of noise; its last activation and the images
            must have one range, which is [-1, 1] for `dcgan`.
        discriminator: Gives one logit per image.
        **kwargs: `name` and the other arguments of `keras.Model`.

    Raises:
        ValueError: If the discriminator does not take what the generator makes.

    Example:
    >>> import numpy as np
    >>> import kerasbn
    >>> pair = kerasbn.models.dcgan((8, 8, 1), 4, filters=[8])
    >>> model = kerasbn.models.GAN(*pair)
    >>> model.compile(kerasbn.optimizers.adam(2e-4, beta_1=0.5))
    >>> history = model.fit(np.zeros((32, 8, 8, 1)), verbose=0).history
    >>> sorted(history)
    ['discriminator_loss', 'generator_loss', 'loss']
    >>> model.generator.predict(np.zeros((5, 4)), verbose=0).shape
    (5, 8, 8, 1)

    Reference:
        [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661);
        [Radford et al., 2016](https://arxiv.org/abs/1511.06434).
    """

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, **kwargs
    ):
        super().__init__(**kwargs)
        made, judged = generator.output_shape, discriminator.input_shape
        if made != judged:
            raise ValueError(
                "`discriminator` must take the images that `generator` makes. "
                f"Received: generator.output_shape={made}, "
                f"discriminator.input_shape={judged}. Build both with one call "
                "of `kerasbn.models.dcgan`."
            )
        self.generator = generator
        self.discriminator = discriminator
        self.seed_generator = keras.random.SeedGenerator()
        self._cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.discriminator_loss, self.generator_loss = (
            keras.metrics.BinaryCrossentropy(
                name=f"{each}_loss", from_logits=True
            )
            for each in ("discriminator", "generator")
        )
        self.build(judged)

    def call(self, images, training=None):
        """Return the logits of the discriminator."""
        return self.discriminator(images, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ):
        """Return the sum of both losses, whose gradients are kept apart."""
        noise = keras.random.normal(
            (ops.shape(y_pred)[0], *self.generator.input_shape[1:]),
            seed=self.seed_generator,
        )
        made = self.generator(noise, training=training)
        judged = self.discriminator(ops.stop_gradient(made), training=training)
        # Once more for the generator, with weights that get no gradient.
        passed, _ = self.discriminator.stateless_call(
            [
                ops.stop_gradient(ops.convert_to_tensor(each))
                for each in self.discriminator.trainable_variables
            ],
            [
                ops.convert_to_tensor(each)
                for each in self.discriminator.non_trainable_variables
            ],
            made,
            training=training,
        )
        real = ops.ones_like(y_pred)
        loss = sum(self.losses)  # of regularizers
        for metric, labels, logits in (
            (
                self.discriminator_loss,
                ops.concatenate([real, 1.0 - real]),
                ops.concatenate([y_pred, judged]),
            ),
            (self.generator_loss, real, passed),
        ):
            loss += self._cross_entropy(labels, logits)
            metric.update_state(labels, logits)
        return loss

    def get_config(self):
        """Return the arguments of the constructor."""
        return {
            "name": self.name,
            **{
                each: keras.saving.serialize_keras_object(getattr(self, each))
                for each in ("generator", "discriminator")
            },
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the model that `get_config` describes."""
        pair = {
            each: keras.saving.deserialize_keras_object(
                config[each], custom_objects=custom_objects
            )
            for each in ("generator", "discriminator")
        }
        return cls(**{**config, **pair})
