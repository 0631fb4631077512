"""Text files as people have them."""

import codecs
import re
from pathlib import Path

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def read(path: Path) -> str:
    """Return a file's text: by its byte order mark, as UTF-8, by its coding cookie, or as Latin-1.

    PowerShell writes UTF-16 with a mark, older editors Latin-1. pip reads requirements alike.

    Raises:
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        first = content.split(b"\n", 2)[:2]
        cookie = re.search(
            rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", b"\n".join(first), re.MULTILINE
        )
        try:
            return content.decode(cookie[1].decode("ascii") if cookie else "latin-1")
        except (LookupError, UnicodeDecodeError):
            return content.decode("latin-1")
