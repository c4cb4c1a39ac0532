"""What is said of a file that cannot be read: one line, what was expected and what was found."""

from __future__ import annotations

from pathlib import Path

_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"II*\x00", "a TIFF file"),
    (b"MM\x00*", "a TIFF file"),
    (b"II+\x00", "a TIFF file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"PK", "a zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x80", "a Python pickle, which is never opened"),
)


class ReadError(ValueError):
    """A file cannot be read.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    expected, found : str
        What a file of its kind holds, and what this one holds.
    """

    def __init__(self, path: str | Path, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = Path(path)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        text = f"{self.path}: expected {self.expected}, found {self.found}"
        return " ".join(text.split())


class ReadWarning(UserWarning):
    """Files were skipped, because they could not be read."""


def describe_content(path: Path) -> str:
    """Return in words what a file holds, by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return f"a file that cannot be opened ({error.strerror})"
    if not start:
        return "an empty file"
    for signature, words in _SIGNATURES:
        if start.startswith(signature):
            return words
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return "binary data of another kind"
        text = start[: error.start].decode()
    if not text.isprintable() and not all(c.isprintable() or c in "\r\n\t" for c in text):
        return "binary data of another kind"
    line = text.split("\n")[0].strip()
    return f"text ({line[:30]!r} ...)"


def first_line(error: BaseException) -> str:
    """Return an error's message in one line of reasonable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
