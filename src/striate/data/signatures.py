"""What a file is, told by its first bytes: the formats that are read, and names for the others."""

from __future__ import annotations

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that are read, in Pillow's names (PPM stands for PBM, PGM, PPM and PFM)."""

_READ = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_PNM = {b"P%c" % kind for kind in b"123456Ff"}

_OTHER_PICTURES = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xffO\xffQ", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\n", "a JPEG XL picture"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"qoif", "a QOI picture"),
    (b"v/1\1", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"DDS ", "a DDS texture"),
    (b"P7\n", "a PAM picture"),
    (b"SIMPLE  =", "a FITS picture"),
)
_NO_PICTURES = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1aE\xdf\xa3", "a video (Matroska)"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture itself: run git lfs pull"),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BRANDS = {b"avif": "an AVIF picture", b"avis": "an AVIF picture", **dict.fromkeys(_HEIC, "a HEIC picture")}
_ADVICE = ": convert it to JPEG or PNG"


def sniff(data: bytes) -> str:
    """One of :data:`FORMATS`, or what the bytes are instead, as a reason for not reading them.

    >>> sniff(b"GIF89a..."), sniff(b""), sniff(b"%PDF-1.7"), sniff(b"Hello, world")
    ('GIF', 'an empty file', 'a PDF document', 'text, not a picture')
    """
    if not data:
        return "an empty file"
    for start, name in _READ:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF":
        return "WEBP" if data[8:12] == b"WEBP" else "a RIFF file (sound or video)"
    if data[:2] in _PNM and data[2:3].isspace():
        return "PPM"
    return _name_other(data)


def _name_other(data: bytes) -> str:
    for start, name in _OTHER_PICTURES:
        if data.startswith(start):
            return name + _ADVICE
    for start, name in _NO_PICTURES:
        if data.startswith(start):
            return name
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return _BRANDS[brand] + _ADVICE if brand in _BRANDS else "a video (MP4)"
    if data[128:132] == b"DICM":
        return "a DICOM picture" + _ADVICE
    head = data[:512]
    if not any(head):
        return "a file of zero bytes only" if not any(data) else "no known picture format (starts with zeros)"
    return _name_text(head)


def _name_text(head: bytes) -> str:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A multi-byte letter may be cut at the end of what we look at.
        text = head[: error.start].decode() if len(head) - error.start < 4 else ""
    if text and all(letter.isprintable() or letter.isspace() for letter in text):
        lowered = text.lstrip("\ufeff \r\n\t").lower()
        if "<svg" in lowered:
            return "an SVG drawing" + _ADVICE
        if lowered.startswith(("<!doctype html", "<html")):
            return "an HTML page"
        return "text, not a picture"
    return f"no known picture format (starts with {head[:4].hex(' ')})"
