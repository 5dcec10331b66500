"""What the bytes of a file tell: its encoding, or what it is if it is not a table."""

import codecs
import re
import unicodedata
from functools import partial
from itertools import islice
from pathlib import Path

SAMPLE = 64 * 1024  # bytes of text in which an encoding is told
UNREADABLE = "\udfff"  # stands for bytes that are no character; no file can hold it
FORMATS = {  # what a file is that is not a table, what to do, and how it begins
    "an Excel workbook or a zip archive: save its sheet as CSV": r"PK\x03\x04|\xd0\xcf\x11\xe0",
    "compressed: unpack it": r"\x1f\x8b|BZh\d1AY|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!",
    "a web page or XML: get its data as CSV": r"\s*<(!|\?xml|[\w:]+( [^<>]*)?>(\r?\n\s*)?<)",
    "JSON: convert it to CSV": r"""\s*(\{\s*["'}]|\[\s*[\[{])""",
    "rich text (RTF): save it as plain text": r"\{\\rtf",
    "a pointer to a large file: get that, as by git lfs pull": r"version https://git-|\S*/annex/obj",
    "a PDF or a picture: get its table as CSV": r"%PDF-|\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF",
    "a database: export its table as CSV": r"PAR1[\0-\x1f]|ARROW1\0|SQLite format 3\0|\x89HDF",
}
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32"}  # before UTF-16, as it begins so
MARKS |= {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
CODES = (  # what people's machines write; the first of equally likely ones is taken
    "cp1252 iso8859-2 cp1250 cp1251 koi8-r koi8-u cp866 cp1253 iso8859-7 cp1254 cp1255 cp1256 "
    "cp1257 iso8859-6 cp874 cp932 euc_jis_2004 gb18030 big5hkscs cp949 mac-roman cp850 cp852"
).split()
WORD = re.compile("[^\0-@[-`{-\x7f\xa0¡¿‘’“”„«»–—…·ªº°€]+")
# Western text without Western letters: 20 °C, 5 µm, ½ m², £5, it’s; but not Wroc³aw, £ódŸ
SIGNS = re.compile("([\0-\x7f\xa0µ‘’“”–—…«»•]|(?<![A-Za-z]{3})[°²³½¼¾±×÷§©®™£¥€·](?![a-zà-ÿ]))*")
codecs.register_error("unreadable", lambda error: (UNREADABLE, error.end))


def likeliest(path: Path, head: bytes) -> str:
    """UTF-8 if half of what is beyond ASCII is; else the one in which most words make sense."""
    for code in ("utf-16-le", "utf-16-be") if b"\0" in head else ():
        text = head.decode(code, "ignore")
        if "\n" in text and "\0" not in text and _sense(text) > 0.5:
            return code
    with path.open("rb") as file:
        blocks = iter(partial(file.read, SAMPLE), b"")
        sample = b"".join(islice((block for block in blocks if not block.isascii()), 2))
    letters = re.findall("[^\x00-\x7f]", sample.decode("utf-8", "unreadable"))
    if 2 * letters.count(UNREADABLE) <= len(letters):
        return "utf-8"
    from chardet import detect_all  # only now, as it takes a while

    lines = [line for line in sample.splitlines() if not line.isascii()]
    sample = b"\n".join(lines)[: SAMPLE // 4]
    if SIGNS.fullmatch(sample.decode("cp1252", "replace")):
        return "cp1252"
    known = {"include_encodings": CODES, "no_match_encoding": "cp1252", "compat_names": False}
    found = detect_all(sample, ignore_threshold=True, **known)
    sure = {one["encoding"]: one["confidence"] for one in found}
    sure["cp1252"] = 1.2 * sure.get("cp1252", 0)  # the commonest
    return max(
        CODES, key=lambda code: sure.get(code, 0) * _sense(sample.decode(code, "unreadable"))
    )


def _sense(text: str) -> float:
    """The share of its words beyond ASCII that are of one script, in small letters or capitals."""
    words = {word for word in WORD.findall(text) if not word.isascii()}
    fit = 0
    for word in words:
        scripts = {"CJK" if c >= "⺀" else unicodedata.name(c, "?").split()[0] for c in word}
        is_cased = word in (word.lower(), word.upper(), word.title())
        fit += is_cased and len(scripts) == 1 and "?" not in scripts
    return (fit / len(words)) ** 2 if words else 1
