"""A model that trains a generator and a discriminator together."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasbn")
class GAN(keras.Model):
    """A generator and a discriminator that `fit` trains on images.

    The discriminator learns to tell real images from generated ones, and the
    generator to have its images judged real (the non-saturating loss). Both
    take a step at once, on the gradients of one batch, with p = sigmoid:

        judged = discriminator(generator(noise))
        discriminator_loss = mean(-log p(images), -log(1 - p(judged)))
        generator_loss = -log p(judged)

    Neither gradient reaches the weights of the other network, so one optimizer
    serves both, and `compile` takes nothing else. The paper uses Adam with a
    learning rate of 2e-4 and `beta_1` 0.5, because 1e-3 and 0.9 oscillate. Do
    not pass `global_clipnorm`, which would scale each network by the norm of
    both. Both losses start at log 2 = 0.69; where the discriminator's comes
    near 0, the generator has lost.

    Args:
        generator: Makes images from noise. The range of its last activation
            must be that of the images, [-1, 1] for `dcgan`.
        discriminator: Returns one logit per image.
        **kwargs: `name` and the other arguments of `keras.Model`.

    Raises:
        ValueError: If the generator's output does not fit the discriminator.

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
                "to `kerasbn.models.dcgan`."
            )
        self.generator = generator
        self.discriminator = discriminator
        self.seed_generator = keras.random.SeedGenerator()
        self._cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        metric = keras.metrics.BinaryCrossentropy
        self.discriminator_loss = metric("discriminator_loss", from_logits=True)
        self.generator_loss = metric("generator_loss", from_logits=True)
        self.build(judged)

    def call(self, images, training=None):
        """Return the logits of the discriminator."""
        return self.discriminator(images, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Return the sum of both losses, each with gradients of one network."""
        noise = keras.random.normal(
            (ops.shape(y_pred)[0], *self.generator.input_shape[1:]),
            seed=self.seed_generator,
        )
        made = self.generator(noise, training=training)
        judge = self.discriminator
        judged = judge(ops.stop_gradient(made), training=training)
        # Again for the generator, with the discriminator's weights held fixed.
        weights = map(ops.convert_to_tensor, judge.trainable_variables)
        state = map(ops.convert_to_tensor, judge.non_trainable_variables)
        weights = [*map(ops.stop_gradient, weights)]
        passed, _ = judge.stateless_call(
            weights, [*state], made, training=training
        )
        real = ops.ones_like(y_pred)
        labels = ops.concatenate([real, 1.0 - real])
        logits = ops.concatenate([y_pred, judged])
        loss = sum(self.losses)  # from regularizers
        for metric, *pair in (
            (self.discriminator_loss, labels, logits),
            (self.generator_loss, real, passed),
        ):
            loss += self._cross_entropy(*pair)
            metric.update_state(*pair)
        return loss

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        make = keras.saving.deserialize_keras_object
        pair = {
            each: make(config[each], custom_objects=custom_objects)
            for each in ("generator", "discriminator")
        }
        return cls(**config | pair)
