"""Draws docs/images/filters.png: what each known kernel makes of one photograph.

The photograph is the cameraman that scikit-image carries. Its background is transparent and its words are
of a middle grey, so that it stands on light and dark pages alike.
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from skimage import data

from striate import filters

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "filters.png"
INK = "#7d8590"
COLUMNS = 5

KERNELS = {
    "identity()": filters.identity(),
    "box(9)": filters.box(9),
    "tent(9)": filters.tent(9),
    "gaussian(sigma=3)": filters.gaussian(sigma=3),
    "sharpen(amount=2)": filters.sharpen(amount=2),
    "sobel(axis=0)": filters.sobel(axis=0),
    "sobel(axis=1)": filters.sobel(axis=1),
    "scharr(axis=1)": filters.scharr(axis=1),
    "laplacian()": filters.laplacian(),
    "laplacian_of_gaussian(\nsigma=2)": filters.laplacian_of_gaussian(sigma=2),
    "outline()": filters.outline(),
    "emboss()": filters.emboss(),
    "gabor(wavelength=6)": filters.gabor(wavelength=6),
    "gabor(wavelength=6,\norientation=π/3)": filters.gabor(wavelength=6, orientation=math.pi / 3),
    "gabor(wavelength=6,\nphase=π/2)": filters.gabor(wavelength=6, phase=math.pi / 2),
}


def main() -> None:
    """Filter the photograph by each kernel and save the sheet."""
    matplotlib.use("agg")
    picture = torch.from_numpy(data.camera()[60:300, 110:350].copy()).float()[None, None] / 255
    rows = math.ceil(len(KERNELS) / COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(2 * COLUMNS, 2.45 * rows), layout="constrained")
    for cell, (name, kernel) in zip(axes.flat, KERNELS.items(), strict=True):
        result = filters.Filter(kernel, channels=1, padding_mode="reflect")(picture)[0, 0]
        if abs(float(kernel.sum())) > 0.5:  # keeps the brightness: shown as a picture
            cell.imshow(result, cmap="gray", vmin=0, vmax=1)
        else:  # signed: 0 is the middle grey
            most = float(result.abs().quantile(0.99))
            cell.imshow(result, cmap="gray", vmin=-most, vmax=most)
        cell.set_title(name, color=INK, fontsize=9, family="monospace")
        cell.set_axis_off()
        draw_kernel(cell, kernel)
    figure.savefig(TARGET, dpi=90, transparent=True, metadata={"Software": None})
    print(f"{TARGET}: {TARGET.stat().st_size / 1024:.0f} KiB")


def draw_kernel(cell: plt.Axes, kernel: torch.Tensor) -> None:
    """The kernel itself in the lower left corner: red above 0, blue below."""
    inset = cell.inset_axes((0.02, 0.02, 0.3, 0.3))
    most = float(kernel.abs().max())
    inset.imshow(kernel, cmap="RdBu_r", vmin=-most, vmax=most)
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set_color("white")


if __name__ == "__main__":
    main()
