"""Rows in lines as learners write them: each line is searched for the rows of the source."""

import re
from ast import literal_eval
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

from streamlib import records, rows

LITERAL = re.compile(r"""(?<![\w'"])[bB](?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?=\W|$)""")
TOGETHER = re.compile(r"(?<=[\]}])\s*(?=[\[{])")  # between messages in one line
QUOTED = re.compile(r"""[\[{(](-?[\d.]+, )?["']""")  # the beginning of JSON, a list, a dict
ESCAPES = re.compile(r"""(?:\\u[0-9a-fA-F]{4})+|\\x[0-9a-fA-F]{2}|\\[nrt"'\\]""")
BETWEEN = re.compile(r"[,;|\t]"), re.compile(r"[,;|\s]+")  # fields; the likelier one first
MARK = "\x1f"  # between fields, whatever stood there
EDGES = " \t\r\n:=<>()[]{}'\""  # around words
WORD = re.compile(f"{MARK}|[^{MARK}{re.escape(EDGES)}]+")
AROUND = sorted(product(range(20), repeat=2), key=sum)  # words before and after a row


def records_in(path: Path) -> Iterator[dict]:
    """Yield the records in a file; a message that is not one is the `row`, without a number."""
    if not path.is_file():
        raise OSError(f"{path} does not exist: give the file that the receiver wrote.")
    with path.open(encoding=rows.encoding.likeliest(path), errors="backslashreplace") as file:
        for line in iter(lambda: file.readline(rows.LONGEST), ""):
            for message in [line] if line.startswith('{"seq"') else _messages(line):
                try:
                    yield records.decode(message.encode())
                except ValueError:
                    yield {"row": message}


def _messages(line: str) -> list[str]:
    """Return the messages in a line: what b'...' stands for, rows in brackets one by one."""
    texts = LITERAL.findall(line)
    with suppress(ValueError, SyntaxError):
        texts = [literal_eval(one).decode(errors="backslashreplace") for one in texts]
    found = (one for text in texts or [line] for one in TOGETHER.split(text.strip()) if one)
    return [ESCAPES.sub(_plain, one) if QUOTED.search(one) else one for one in found]


def _plain(one: re.Match) -> str:
    """Return the letters that escapes stand for."""
    return literal_eval(f'"{one[0]}"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_lines(texts: list[str], expected: list[dict]) -> tuple[list, list[str], int]:
    """Return the rows in texts, how they were read, and how many may be one of several rows."""
    label = re.compile(rf"""['"]?\b({"|".join(map(re.escape, expected[0]))})['"]? ?[:=] ?""")
    ways = []
    for between, some in product(BETWEEN, (False, True)):
        keys = [_key(label.sub("", text), between) for text in texts]
        columns = _some(keys[:9], expected) if some else list(expected[0])
        known = {}
        for row in expected if columns else ():
            chosen = {name: row.get(name, "") for name in columns}
            same = known.setdefault(_key(",".join(map(str, chosen.values())), between), [])
            same += [chosen] * (chosen not in same)
        found = [next((one for one in _parts(key) if one[1] in known), None) for key in keys]
        ways.append((len(texts) - found.count(None), columns, known, keys, found))
        if 2 * ways[-1][0] > len(texts):
            break
    fit, columns, known, keys, found = max(ways, key=lambda way: way[0])
    [(usual, _)] = Counter(part[0] for part in found if part).most_common(1) or [((0, 0), 0)]
    values = {value for key in known for value in key.split(MARK)}
    contents, skipped, unclear, example = [], [], 0, texts[0]
    for text, key, part in zip(texts, keys, found, strict=True):
        fields = dict(_parts(key)).get(usual, key).split(MARK) if not part else []
        if part:
            same, example = known[part[1]], text
            unclear += len(same) > 1
            same.append(same.pop(0))  # each of them in its turn
            contents.append(same[-1])
        elif len(fields) == len(columns):
            contents.append(dict(zip(columns, fields, strict=True)))
        else:
            is_row = not fit or "[" in text or values.intersection(fields)
            (contents if is_row else skipped).append(text)
    around = "; {} words before and {} after each left out".format(*usual) * any(usual)
    said = [f"{len(contents):,} rows read from text lines, such as {example!r:.200}{around}."]
    said += [f"Lines that are not rows: {len(skipped):,}, such as {skipped[:3]}."] * bool(skipped)
    return contents, said, unclear


def _key(text: str, between: re.Pattern) -> str:
    """Return a text with one mark between fields, without what is around them."""
    text = " ".join(text.replace('""', '"').splitlines())  # as CSV has quotes in quotes
    fields = between.split(text)
    return MARK.join(one.strip(" '\"") for one in fields).strip(EDGES)


def _parts(key: str) -> Iterator[tuple]:
    """Yield words left out before and after, and what is between, if no field is cut off."""
    yield (0, 0), key
    words = list(WORD.finditer(key[:10_000]))  # a bound on the time
    for before, after in AROUND:
        if before + after < len(words):
            start, end = words[before].start(), words[-1 - after].end()
            if MARK not in (key[start - 1 : start], key[end : end + 1]):
                yield (before, after), key[start:end]


def _some(keys: list[str], expected: list[dict]) -> list[str]:
    """Return the columns whose values are in most of these lines; each line has its likest row."""
    votes = Counter()
    for key in keys:
        fields = set(re.split(rf"[{MARK}()\[\]{{}}]", key))
        likest = max(expected, key=lambda row: len(fields.intersection(row.values())))
        votes.update(name for name, value in likest.items() if value in fields)
    return [name for name in expected[0] if 2 * votes[name] > len(keys)]
