"""Every operator as a layer: ``striate.nn.LPPool2d(2, kernel_size=3)``."""

from __future__ import annotations

__all__: list[str] = []
