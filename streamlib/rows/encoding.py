"""What the bytes of a file tell: its encoding, or what it is if it is not a table."""

import codecs
import re
from pathlib import Path

SAMPLE = 64 * 1024  # bytes of text in which an encoding is told
UNREADABLE = "\udfff"  # stands for bytes that cannot be decoded; no file can hold it
BINARY = r"%PDF-|[^\0-\x7f](PNG\r|[^\0-\x7f]\x11)|\x1f[^\0-\x7f]\x08|[^\0]*\0"
FORMATS = {  # what a file is that is not a table, what to do, and how its text begins
    "an Excel workbook or a zip archive: save its sheet as CSV": r"PK\x03\x04",
    "a web page or XML: get its data as CSV": r"\s*<(!|\?xml|[\w:]+( [^<>]*)?>(\r?\n\s*)?<)",
    "JSON: convert it to CSV": r"""\s*(\{\s*["'}]|\[\s*[\[{])""",
    "rich text (RTF): save it as plain text": r"\{\\rtf",
    "a pointer to a large file: get that, as by git lfs pull": r"version https://git-|\S*/annex/obj",
    "empty: give a CSV file with a header and rows": r"\s*\Z",
    "not plain text: unpack it, or name its encoding": BINARY,
}
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
CODES = (  # what people's machines write; the first of equally likely ones is taken
    "cp1252 iso8859-2 cp1250 cp1251 koi8-r koi8-u cp866 cp1253 iso8859-7 cp1254 cp1255 cp1256 "
    "cp1257 iso8859-6 cp874 cp932 euc_jis_2004 gb18030 big5hkscs cp949 mac-roman cp850 cp852"
).split()
SIGNS = re.compile("([\0-\x7f\xa0µ‘’“”–—…•×§°²½€]|m³(?![a-z]))*")  # Western text, as 20 °C
WORD = re.compile("[^\0-@[-`{-\x7f\xa0¡¿‘’“”„«»–—…·ªº°€]+")
MIXED = re.compile(f"[A-Za-z][^A-ɏ]|[^A-ɏ][A-Za-z]|{UNREADABLE}")  # Latin letters beside others
codecs.register_error("unreadable", lambda error: (UNREADABLE, error.end))


def likeliest(path: Path, said: str = "") -> str:
    """Return the encoding: its mark's, or as said, or UTF-8 if half beyond ASCII is, or a guess."""
    with path.open("rb") as file:
        sample = next((b for b in iter(lambda: file.read(SAMPLE), b"") if not b.isascii()), b"")
    if told := next((code for mark, code in MARKS.items() if sample.startswith(mark)), said):
        return told
    letters = re.findall("[^\x00-\x7f]", sample.decode("utf-8", "unreadable"))
    if 2 * letters.count(UNREADABLE) <= len(letters):
        return "utf-8"
    from chardet import detect_all  # only now, as it takes a while

    sample = b"\n".join(line for line in sample.splitlines() if not line.isascii())[: SAMPLE // 4]
    if SIGNS.fullmatch(sample.decode("cp1252", "replace")):
        return "cp1252"
    found = detect_all(sample, ignore_threshold=True, include_encodings=CODES, compat_names=False)
    sure = {one["encoding"]: one["confidence"] for one in found}
    return max(CODES, key=lambda code: sure.get(code, 0) * _sense(sample, code))


def _sense(sample: bytes, code: str) -> float:
    """Return the share of words beyond ASCII that are in one script and in usual letter case."""
    words = {w for w in WORD.findall(sample.decode(code, "unreadable")) if not w.isascii()}
    cased = (word for word in words if word in (word.lower(), word.upper(), word.title()))
    return (sum(not MIXED.search(word) for word in cased) / len(words)) ** 2 if words else 1
