"""The one schema of settings: command-line flags, YAML keys and the saved ``config.yaml``.

Free of torch, so that ``striate --help`` is instant. A field's description is its help text.
``None`` means "choose for me"; the resolved value is what a run saves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

COMPARED_MODELS = ("hog", "lbp", "sift", "mlp", "lenet", "cnn")
MODELS = (*COMPARED_MODELS, "separable", "flattened", "inception", "dilated")


class DataConfig(BaseModel):
    """Which pictures, and how they become pixels and splits."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    source: str = Field(
        description="digits, mnist, fashion-mnist, a folder, an IDX images file or folder, or a .csv/.parquet table"
    )
    data_dir: Path | None = Field(
        None,
        description="Where named sets are looked for and kept [env STRIATE_DATA, then the platform cache]",
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="Side in pixels that pictures are fitted to [from the pictures]"
    )
    channels: Literal[1, 3] | None = Field(None, description="1 grey, 3 colour [from the pictures]")
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop", description="How other aspect ratios are fitted: crop the centre, pad, or stretch"
    )
    background: int = Field(
        255, ge=0, le=255, description="Grey level that transparent pixels and padding are set on"
    )
    val_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of the training pictures held out to choose the best epoch"
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of all pictures held out as the test split, if the source has none",
    )
    skip_bad: bool = Field(False, description="Leave unreadable files out instead of stopping")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of split, initial weights, order and augmentation")


class LearnConfig(DataConfig):
    """How learners are trained."""

    epochs: int | None = Field(None, ge=1, description="Passes over the training pictures [the model's own]")
    budget: str | None = Field(
        None, description="Time to train each learner, as 60s, 10m or 1h; sets the number of epochs"
    )
    batch_size: int | None = Field(None, ge=1, description="Pictures a step [the model's own]")
    learning_rate: float | None = Field(
        None, gt=0, description="Peak of the one-cycle schedule [the model's own]"
    )
    weight_decay: float | None = Field(None, ge=0, description="Decoupled weight decay [the model's own]")
    label_smoothing: float | None = Field(None, ge=0, lt=1, description="Label smoothing [the model's own]")
    augment: bool = Field(True, description="Random crop, flip and cutout, as the model's recipe has them")
    flip: bool | None = Field(None, description="Mirror pictures [on, but never for digits and letters]")
    balance: bool = Field(False, description="Weigh classes inversely to their frequency")
    weight_averaging: bool | None = Field(
        None, description="Judge and save the moving average of the weights [the model's own]"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto takes bfloat16 where it was measured faster"
    )
    classifier: Literal["linear", "mlp", "svm"] = Field(
        "linear", description="What learns on hand-crafted features"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int | None = Field(None, ge=1, description="CPU threads [all cores]")
    checkpoint_seconds: float = Field(
        60, ge=0, description="Save a checkpoint this often within an epoch; 0 saves after every step"
    )
    out: Path | None = Field(
        None, description="Run folder; must be new or empty [runs/<model>-<source>-<time>]"
    )


class TrainConfig(LearnConfig):
    """Settings of ``striate train``."""

    model: str = Field("cnn", description=f"{', '.join(MODELS)}, or your own as package.module:factory")


class CompareConfig(LearnConfig):
    """Settings of ``striate compare``."""

    models: tuple[str, ...] = Field(
        COMPARED_MODELS,
        min_length=1,
        description=f"Learners to compare, of {', '.join(MODELS)}; your own as package.module:factory",
    )
    shift: int | None = Field(
        None,
        ge=0,
        description="Largest translation tried, in pixels; 0 leaves the experiment out [1/8 of the width]",
    )
    shuffle: bool = Field(True, description="Train every learner once more on shuffled pixels")
