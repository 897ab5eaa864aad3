"""Every operator as a function: ``striate.functional.lp_pool2d(x, 2, kernel_size=3)``."""

from __future__ import annotations

__all__: list[str] = []
