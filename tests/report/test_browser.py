"""What a user sees in TensorBoard, in headless Chromium where there is one."""

import re
import shutil
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

import kerasbn

wait = pytest.importorskip("selenium.webdriver.support.wait")
pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="chromium and chromedriver are not installed",
)

# In seconds: a machine may be slow, but what hangs has to end.
_LONGEST = 300

# Text and pictures of a page, those inside shadow roots included.
_SEEN = """
const texts = [], images = [];
const visit = node => {
  if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent);
  if (node.tagName === 'STYLE' || node.tagName === 'SCRIPT') return;
  if (node.tagName === 'IMG' && node.naturalWidth) images.push(
    [node.src, node.naturalWidth, node.naturalHeight, node.clientWidth]);
  if (node.shadowRoot) visit(node.shadowRoot);
  node.childNodes.forEach(visit);
};
visit(document.body);
return [texts.join(' '), images];
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where TensorBoard shows a run of the monitor beside Keras's own."""
    root = tmp_path_factory.mktemp("logs")
    x = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    model = kerasbn.models.mlp((6,), [8] * 20, 1)
    model.compile(kerasbn.optimizers.sgd(0.01), "mean_squared_error")
    monitor = kerasbn.callbacks.GradientMonitor(str(root / "gradients"))
    beside = keras.callbacks.TensorBoard(str(root))
    model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=[beside, monitor])
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main"),
            *("--logdir", str(root), "--port", "0", "--load_fast", "false"),
            # It says where it is once it has read everything.
            *("--reload_interval", "0", "--reload_task", "blocking"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(_LONGEST, process.kill)
    limit.start()
    try:
        url = _address(process.stderr)
        limit.cancel()
        yield url
    finally:
        limit.cancel()
        process.kill()
        process.wait()


def _address(stderr):
    """What TensorBoard says when it is up; then let it say what it will."""
    said = []
    for line in stderr:
        said.append(line)
        if found := re.search(r"TensorBoard \S+ at (http://\S+?)/? ", line):
            threading.Thread(target=_drain, args=[stderr], daemon=True).start()
            return found[1]
    raise AssertionError(f"TensorBoard did not start: {''.join(said)}")


def _drain(stream):
    with stream:
        stream.read()


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for option in ("headless", "no-sandbox", "disable-gpu"):
        options.add_argument(f"--{option}")
    options.add_argument("--window-size=1400,1500")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    options.binary_location = str(shutil.which("chromium"))
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


def _wait_for(browser, condition):
    return wait.WebDriverWait(browser, _LONGEST).until(lambda _: condition())


def _open(browser, url, *wanted):
    """Open a tab and wait for its words; return the pictures in it."""
    browser.get("about:blank")
    browser.get(url)

    def seen():
        text, images = browser.execute_script(_SEEN)
        return all(word in text for word in wanted) and (text, images)

    return _wait_for(browser, seen)[1]


def test_heat_maps_are_among_the_images(browser, address):
    url = f"{address}/#images"

    def maps():
        images = _open(browser, url, "gradient_flow", "update_ratio")
        return [image for image in images if "individualImage" in image[0]]

    found = _wait_for(browser, lambda: len(maps()) >= 2 and maps())
    for _, width, height, shown in found:
        assert width > 400
        assert height > 200
        assert shown > 200  # large enough to read on its card


def test_charts_of_all_layers_are_among_the_custom_scalars(browser, address):
    _open(
        browser,
        f"{address}/#custom_scalars",
        "Norm of each kernel's gradient",
        "Norm of the whole gradient",
        "Dead units",
    )


def test_summary_is_among_the_texts(browser, address):
    _open(
        browser,
        f"{address}/#text",
        "No gradient held NaN or Inf.",
        "hidden_0/kernel",
    )


def test_curves_are_grouped_under_scalars_beside_those_of_keras(
    browser, address
):
    _open(
        browser,
        f"{address}/#scalars",
        "gradient_norm",
        "update_ratio",
        "dead_units",
        "epoch_loss",
    )
