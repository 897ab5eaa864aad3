"""Numbers for readers: as many digits as mean something, and no more."""

from __future__ import annotations

from collections.abc import Sequence


def decimals(total: int) -> int:
    """Decimals of a percentage measured on ``total`` pictures: one picture must not hide in a digit.

    >>> decimals(40), decimals(360), decimals(10_000)
    (0, 1, 2)
    """
    if total < 100:
        return 0
    return 1 if total < 5000 else 2


def percent(share: float, total: int) -> str:
    """A share of ``total`` pictures as a percentage, never rounded up to 100 or down to 0.

    >>> percent(0.98333, 360), percent(0.99996, 20_000), percent(1.0, 360)
    ('98.3%', '99.99%', '100%')
    """
    places = decimals(total)
    if share in (0.0, 1.0):
        return f"{100 * share:.0f}%"
    smallest = 10.0**-places
    return f"{min(100 - smallest, max(smallest, 100 * share)):.{places}f}%"


def percent_range(interval: tuple[float, float], total: int, joint: str = " to ") -> str:
    """An interval of shares in per cent.

    >>> percent_range((0.9642, 0.9923), 360)
    '96.4 to 99.2%'
    """
    low, high = (percent(end, total) for end in interval)
    return f"{low.removesuffix('%')}{joint}{high}"


def points(difference: float, total: int) -> str:
    """A difference of two shares in percentage points.

    >>> points(0.0333, 360), points(0.01, 40)
    ('3.3 points', '1 point')
    """
    text = f"{100 * abs(difference):.{decimals(total)}f}"
    return f"{text} point" if text == "1" else f"{text} points"


def count(number: int) -> str:
    """A count to three significant digits.

    >>> count(950), count(61_706), count(352_800), count(60_000_000)
    ('950', '61.7k', '353k', '60.0M')
    """
    if number < 1000:
        return str(number)
    value = float(number)
    for suffix in ("k", "M", "G"):
        value /= 1000
        if value < 999.5:
            return f"{_three(value)}{suffix}"
    return f"{value / 1000:.3g}T"


def file_size(size: int) -> str:
    """Bytes in decimal units.

    >>> file_size(512), file_size(250_123), file_size(3_400_000)
    ('512 B', '250 kB', '3.40 MB')
    """
    text = count(size)
    return f"{text} B" if text[-1].isdigit() else f"{text[:-1]} {text[-1]}B"


def milliseconds(value: float) -> str:
    """Milliseconds to two or three significant digits.

    >>> milliseconds(0.1234), milliseconds(3.456), milliseconds(123.4)
    ('0.12', '3.5', '123')
    """
    if value < 0.995:
        return f"{value:.2g}" if value < 0.0995 else f"{value:.2f}"
    return f"{value:.1f}" if value < 99.5 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(0.042), duration(7.25), duration(75), duration(3700)
    ('0.04 s', '7.2 s', '1 min 15 s', '1 h 01 min')
    """
    if seconds < 0.095:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def p_value(p: float) -> str:
    """A p-value with its sign of relation.

    >>> p_value(0.34), p_value(0.0123), p_value(1e-9), p_value(1.0)
    ('p = 0.34', 'p = 0.012', 'p < 0.001', 'p = 1')
    """
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.2g}"


def listing(items: Sequence[str]) -> str:
    """Items as an English list.

    >>> listing(["hog"]), listing(["hog", "mlp"]), listing(["hog", "mlp", "cnn"])
    ('hog', 'hog and mlp', 'hog, mlp and cnn')
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
