"""Copies of a model, layer by layer."""

import keras


def plain(model):
    """The model's graph under Keras's own class, or `None` if it has none."""
    graph = isinstance(model, (keras.Sequential, keras.Function))
    if not graph or not getattr(model, "inputs", None):
        return None
    if isinstance(model, keras.Sequential):
        outputs = model.outputs
        inputs = model.inputs[0]
        outputs = outputs[0] if len(outputs) == 1 else outputs
    else:
        inputs, outputs = model.input, model.output
    # A new model, because a compiled one is cloned with its optimizer.
    result = keras.Model(inputs, outputs, name=model.name)
    known = (keras.Sequential.call, type(result).call)
    return result if type(model).call in known else None


def cloned(model, copy, call):
    """Clone a model with the layers and weights that `copy` gives."""
    made = []

    def clone_function(layer):
        made.append(copy(layer))
        return made[-1][0]

    result = keras.models.clone_model(
        model, clone_function=clone_function, call_function=call
    )
    for layer, weights in made:
        if not weights:
            continue
        layer.set_weights(weights)
        for inner in layer._flatten_layers():
            if isinstance(inner, keras.layers.Normalization):
                inner.finalize_state()  # computes with a copy of its weights
    return result


def copied(layer, **changes):
    config = {**layer.get_config(), **changes}
    if type(layer) is keras.layers.Lambda:
        # The function comes from this process, not from a file.
        return keras.layers.Lambda.from_config(config, safe_mode=False)
    return type(layer).from_config(config)
