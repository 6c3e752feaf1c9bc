"""How a model is read and rebuilt, in the only place that does so."""

import ast
import collections
import pathlib

import keras
import numpy as np

import kerasbn
from kerasbn._graph.graph import Graph, plain
from kerasbn._graph.rebuild import Edit, rebuild

_PRIVATE = {
    "_keras_history",
    "_inbound_nodes",
    "_outbound_nodes",
    "_nodes_by_depth",
    "_run_through_graph",
    "_functional",
    "_flatten_layers",
    "_layers",
}


def _private_accesses(path):
    """Names of Keras's private graph that a file reads, with their lines."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in _PRIVATE:
            if getattr(node.value, "id", "") != "self":
                yield node.attr, source.splitlines()[node.lineno - 1]


def test_each_private_access_stands_once_with_the_version_it_was_tried_with():
    package = pathlib.Path(kerasbn.__file__).parent
    places, names = collections.Counter(), collections.Counter()
    for path in package.rglob("*.py"):
        for name, line in _private_accesses(path):
            places[str(path.relative_to(package))] += 1
            names[name] += 1
            assert "# Keras 3.15" in line
    assert set(places) == {"_graph/keras_internals.py"}
    assert set(names.values()) == {1}


def _shared_block():
    block = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), keras.layers.ReLU()]
    )
    inputs = keras.Input((4,))
    wrapped = keras.Model(inputs, block(inputs))
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2)(wrapped(block(inputs))))


def test_operations_of_a_model_nested_twice_are_found_once():
    graph = Graph(plain(_shared_block()))
    kinds = [type(each) for each in graph.operations]
    assert kinds.count(keras.layers.Dense) == 2
    assert len(graph.graphs) == 3  # the model, the one in it, and the block


def test_a_layer_shared_between_nested_models_stays_shared():
    model = _shared_block()
    copy = rebuild(Graph(plain(model)), {})
    assert copy.count_params() == model.count_params()
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(copy(x).numpy(), model(x).numpy(), rtol=1e-6)


def test_a_layer_instead_is_called_with_all_arguments():
    inputs = keras.Input((3,))
    frozen = keras.layers.BatchNormalization()
    model = keras.Model(inputs, frozen(inputs, training=False))
    graph = Graph(plain(model))
    ours = kerasbn.layers.BatchNormalization()
    copy = rebuild(graph, {frozen: Edit(instead=ours)})
    (call,) = Graph(plain(copy)).operations[ours]
    assert call.kwargs == {"training": False}
