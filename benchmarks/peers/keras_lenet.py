"""A LeNet epoch in Keras 3: a contender of ``lenet_epoch.py``.

The backend is chosen by KERAS_BACKEND. The data are in memory, normalised once to float32; no
metrics are computed; the first epoch (tracing, compiling) is not counted.
Usage: ``keras_lenet.py FOLDER [--channels-first] [--tf-data] [--jit true|false|auto] [--steps N]``
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contender import serve

BATCH = 128


def main() -> None:
    """Load, compile, warm up for one epoch, then serve epochs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--channels-first", action="store_true")
    parser.add_argument("--tf-data", action="store_true")
    parser.add_argument("--jit", choices=("true", "false", "auto"), default="auto")
    parser.add_argument("--steps", type=int, default=1, help="steps per execution")
    options = parser.parse_args()

    import keras
    from keras import layers

    if options.channels_first:
        keras.config.set_image_data_format("channels_first")
    arrays = {name: np.load(options.folder / f"{name}.npy") for name in ("x", "y", "x_test", "y_test")}
    mean, std = arrays["x"].mean() / 255, arrays["x"].std() / 255
    axes = (0, 1, 2, 3) if options.channels_first else (0, 2, 3, 1)
    x, x_test = (
        np.ascontiguousarray(
            ((arrays[name].astype(np.float32) / 255 - mean) / std).transpose(axes), np.float32
        )
        for name in ("x", "x_test")
    )
    y, y_test = arrays["y"].astype(np.int32), arrays["y_test"]
    whole = len(x) // BATCH * BATCH
    x, y = x[:whole], y[:whole]  # the last, smaller batch would be compiled separately

    model = keras.Sequential(
        [
            *(layers.Input(x.shape[1:]), layers.Conv2D(6, 5), layers.MaxPooling2D(2), layers.ReLU()),
            *(layers.Conv2D(16, 5), layers.MaxPooling2D(2), layers.ReLU(), layers.Flatten()),
            *(layers.Dense(120, "relu"), layers.Dense(84, "relu"), layers.Dense(10)),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile={"true": True, "false": False, "auto": "auto"}[options.jit],
        steps_per_execution=options.steps,
    )

    def fit() -> None:
        if options.tf_data:
            model.fit(dataset, epochs=1, verbose=0)
        else:
            model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=True, verbose=0)

    if options.tf_data:
        import tensorflow as tf

        pairs = tf.data.Dataset.from_tensor_slices((x, y)).cache().shuffle(whole)
        dataset = pairs.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    fit()
    first = model.get_weights()

    def run_epoch() -> dict[str, Any]:
        started = time.perf_counter()
        fit()
        seconds = time.perf_counter() - started
        logits = model.predict(x_test, batch_size=500, verbose=0)
        accuracy = float((logits.argmax(1) == y_test).mean())
        model.set_weights(first)
        return {"seconds": seconds, "accuracy": accuracy}

    serve({"keras": keras.__version__, "backend": keras.backend.backend()}, run_epoch)


if __name__ == "__main__":
    main()
