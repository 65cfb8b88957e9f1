#!/usr/bin/env python3
"""Checks that docs/conformance.md, the tags in Sources and the tags in Tests agree.

    conformance.py             what the document itself says must be true
    conformance.py --strict    and nothing is missing: every row has code and a test, every tag is in its row
    conformance.py --missing   lists the rows without code or without a test
    conformance.py --fill      writes the code and test columns anew, from the tags

A tag is [MQTT-3.1.2-24] for a statement of MQTT 5.0 and [MQTT-3.1.2-24 of 3.1.1] for one of MQTT 3.1.1. In Sources it
stands at the line that fulfils the statement; in Tests in the name of the test or of the row of its table, or in a
comment beside it, and so in the conversations and in the scenarios of the Python clients. What binds clients only may
have tags where the server holds them to it.
Sources/Uplink is left out: there the gateway is a client.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "conformance.md"
CLIENT_SIDE = ("Uplink/", "UplinkTests/")
SUFFIXES = {".swift", ".py", ".lua", ".txt", ".tsv", ".csv"}

# Every numbered statement of the two standards: section, and the first and last number in it.
STATEMENTS = {
    "5.0": """
        1.5.4:1-3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:2-6 2.2.2:1 3.1.0:1-2 3.1.2:1-30 3.1.3:1-12 3.1.4:1-6
        3.2.0:1-2 3.2.2:1-22 3.3.1:1-13 3.3.2:1-20 3.3.4:1-10 3.4.2:1-3 3.5.2:1-3 3.6.1:1 3.6.2:1-3
        3.7.2:1-3 3.8.1:1 3.8.3:1-5 3.8.4:1-8 3.9.2:1-2 3.9.3:1-2 3.10.1:1 3.10.3:1-2 3.10.4:1-6
        3.11.2:1-2 3.11.3:1-2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:1-4 3.14.4:1-3 3.15.1:1 3.15.2:1-3
        4.1.0:1-2 4.2.0:1 4.3.1:1 4.3.2:1-5 4.3.3:1-13 4.4.0:1-2 4.5.0:1-2 4.6.0:1-6 4.7.0:1 4.7.1:1-2
        4.7.2:1 4.7.3:1-4 4.8.2:1-6 4.9.0:1-3 4.12.0:1-7 4.12.1:1-2 4.13.1:1 4.13.2:1 6.0.0:1-4""",
    "3.1.1": """
        1.5.3:1-3 2.2.2:1-2 2.3.1:1-7 3.1.0:1-2 3.1.2:1-24 3.1.3:1-11 3.1.4:1-5 3.2.0:1 3.2.2:1-6
        3.3.1:1-12 3.3.2:1-3 3.3.4:1 3.3.5:1-2 3.6.1:1 3.8.1:1 3.8.3:1-4 3.8.4:1-6 3.9.3:1-2 3.10.1:1
        3.10.3:1-2 3.10.4:1-6 3.12.4:1 3.14.1:1 3.14.4:1-3 4.1.0:1-2 4.3.1:1 4.3.2:1-2 4.3.3:1-2 4.4.0:1
        4.5.0:1-2 4.6.0:1-6 4.7.1:1-3 4.7.2:1 4.7.3:1-4 4.8.0:1-2 6.0.0:1-4 7.0.0:1-2 7.1.1:1 7.1.2:1""",
}
PARTS = {"MQTT 5.0": "5.0", "MQTT 3.1.1": "3.1.1", "Clients only": "clients only", "Left out": "left out"}

TAG = re.compile(r"\[MQTT-(\d+\.\d+\.\d+-\d+)(?: of (3\.1\.1))?\]")
TAG_LIKE = re.compile(r"MQTT-\d+[.\d-]*")
REFERENCE = re.compile(r"as 5\.0 ((?:\[MQTT-[\d.-]+\](?:, )?)+)")
TEST = re.compile(r'(\S+): "(.*)"')


def known_statements():
    numbers = []
    for standard, text in STATEMENTS.items():
        for entry in text.split():
            section, _, span = entry.partition(":")
            first, _, last = span.partition("-")
            numbers += [(standard, f"{section}-{n}") for n in range(int(first), int(last or first) + 1)]
    return numbers


def tags_of(text):
    """As (standard, number)."""
    return [(match[2] or "5.0", match[1]) for match in TAG.finditer(text)]


def spelled(statement):
    standard, number = statement
    return f"[MQTT-{number}]" if standard == "5.0" else f"[MQTT-{number} of {standard}]"


class Row:
    """One line of a table: statement, what it asks, code, test."""

    def __init__(self, line, number):
        self.line = line
        cells = [cell.strip() for cell in number.strip().strip("|").split(" | ")]
        self.cells = cells
        self.statement = tags_of(cells[0])[0]
        self.asks = cells[1] if len(cells) > 1 else ""
        self.code, self.code_as = self.entries(cells[2] if len(cells) > 2 else "")
        self.tests, self.tests_as = self.entries(cells[3] if len(cells) > 3 else "")

    @staticmethod
    def entries(cell):
        """The entries of a cell, and the 5.0 statements that it refers to."""
        references = [statement for match in REFERENCE.finditer(cell) for statement in tags_of(match[1])]
        entries = [entry.strip() for entry in REFERENCE.sub("", cell).split("<br>")]
        return [entry for entry in entries if entry not in ("", "-")], references

    @staticmethod
    def cell(entries, references):
        parts = ["as 5.0 " + ", ".join(map(spelled, references))] if references else []
        return "<br>".join(parts + entries) or "-"

    def text(self):
        code, tests = self.cell(self.code, self.code_as), self.cell(self.tests, self.tests_as)
        return f"| {spelled(self.statement)} | {self.asks} | {code} | {tests} |"


class Document:
    """docs/conformance.md, taken apart."""

    def __init__(self, path):
        self.lines = path.read_text(encoding="utf-8").split("\n")
        self.rows = {}
        self.parts = {}  # statement -> names of the parts that hold it
        self.errors = []
        part = None
        for number, line in enumerate(self.lines, 1):
            if line.startswith("## "):
                part = PARTS.get(line[3:].strip())
            if part is None:
                continue
            if part not in STATEMENTS:
                # In "left out" the reason may name other statements; the first column counts.
                text = line.split(" | ")[0] if part == "left out" else line
                for statement in tags_of(text):
                    self.parts.setdefault(statement, []).append(part)
            elif line.startswith("| ["):
                self.add(part, number, line)

    def add(self, part, number, line):
        row = Row(number, line)
        if len(row.cells) != 4 or not row.asks:
            self.errors.append(f"{number}: a row has four columns, none of them empty")
        if row.statement[0] != part:
            self.errors.append(f"{number}: {spelled(row.statement)} is in the table of MQTT {part}")
        self.parts.setdefault(row.statement, []).append(f"table of {row.statement[0]}")
        self.rows[row.statement] = row


class Tags:
    """The tags of all files under one directory: statement -> file -> names of the tests (in Sources: line numbers)."""

    def __init__(self, top, are_tests):
        self.top = top
        self.files = {}
        self.bad = []
        for path in sorted(top.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                self.read(path, are_tests)

    def read(self, path, are_tests):
        name = path.relative_to(self.top).as_posix()
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        for index, line in enumerate(lines):
            rest = TAG.sub("", line)
            if TAG_LIKE.search(rest) or re.search(r"\[MQTT-[\d.-]+\]`?\)? of (3|5)\.", line):
                self.bad.append(f"{self.top.name}/{name}:{index + 1}: no tag of the form [MQTT-1.2.3-4]: {line.strip()}")
            for statement in tags_of(line):
                found = self.files.setdefault(statement, {}).setdefault(name, [])
                place = test_name(lines, index) if are_tests else str(index + 1)
                if place not in found:
                    found.append(place)

    def of(self, statement):
        return {n: p for n, p in self.files.get(statement, {}).items() if not n.startswith(CLIENT_SIDE)}


def literal(line):
    """The first string of a line that can be a name: bytes in hex can't."""
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"', line.split("  //")[0]):
        text = TAG.sub("", match[1]).strip()
        if text and not re.fullmatch(r"[0-9A-Fa-f' ]+", text):
            return text
    return None


def test_name(lines, index):
    """The name of the test, or of the row of test data, that a tag in this line belongs to."""
    def starts(at):
        """The name, if a test or a row of data starts in that line."""
        line = lines[at].strip()
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.startswith("@Test") or re.match(r"[\w.]*\(\s*\"", line):
            return literal(line) or literal(following)
        if re.fullmatch(r"(\.init|[A-Z]\w*)\(", line) and following.strip().startswith('"'):
            return literal(following)
        if line.startswith("conversation: "):
            return line.removeprefix("conversation: ")
        if line.startswith("@scenario("):
            return literal(line)
        match = re.match(r"(?:async )?def (\w+)", line)
        if match is None:
            match = re.match(r"static let (\w+) = \[", line)
            return match[1] if match else None
        above = at - 1
        while above >= 0 and lines[above].startswith("@"):
            if lines[above].startswith("@scenario("):
                return literal(lines[above])
            above -= 1
        return match[1]

    line = lines[index].strip()
    if line.startswith(('"', "(\"")) and literal(line):
        return literal(line)
    if line.startswith(("//", "#", "--")):  # Above a test or a row?
        at = index + 1
        while at < len(lines) and lines[at].strip().startswith(("//", "#", "--")) and not lines[at].strip().startswith("#expect"):
            at += 1
        if at < len(lines) and lines[at].strip().startswith('"') and literal(lines[at]):
            return literal(lines[at])
        if at < len(lines) and starts(at):
            return starts(at)
    for at in range(index, -1, -1):
        # A row of data counts only from within it; a test, from anywhere in its body.
        is_body = lines[at].strip().startswith(("@Test", "def ", "async def ", "@scenario(", "conversation: "))
        if starts(at) and (is_body or index - at <= 1):
            return starts(at)
    return line


class Check:
    def __init__(self):
        self.known = known_statements()
        self.document = Document(DOCUMENT)
        self.code = Tags(ROOT / "Sources", are_tests=False)
        self.tests = Tags(ROOT / "Tests", are_tests=True)
        self.errors = [f"docs/conformance.md:{error}" for error in self.document.errors]

    def say(self, row, words):
        self.errors.append(f"docs/conformance.md:{row.line}: {spelled(row.statement)}: {words}")

    def run(self, strict):
        self.check_parts()
        for row in self.document.rows.values():
            self.check_row(row)
            if strict:
                self.check_complete(row)
        if strict:
            self.check_tags()

    def check_parts(self):
        known = set(self.known)
        for statement in self.known:
            parts = self.document.parts.get(statement, [])
            if len(parts) != 1:
                where = f"in {len(parts)} places ({', '.join(parts)})" if parts else "nowhere"
                self.errors.append(f"docs/conformance.md: {spelled(statement)} is {where}")
        for statement in self.document.parts:
            if statement not in known:
                self.errors.append(f"docs/conformance.md: {spelled(statement)} is no statement of the standard")

    def check_row(self, row):
        for file in row.code:
            if file not in self.code.files.get(row.statement, {}):
                self.say(row, f"Sources/{file} has no such tag")
        for entry in row.tests:
            match = TEST.fullmatch(entry)
            if not match:
                self.say(row, f'a test is written as File.swift: "its name", not {entry}')
            elif match[1] not in self.tests.files.get(row.statement, {}):
                self.say(row, f"Tests/{match[1]} has no such tag")
            elif match[2].replace("\\|", "|") not in TAG.sub("", (ROOT / "Tests" / match[1]).read_text(encoding="utf-8")):
                self.say(row, f'Tests/{match[1]} has no test "{match[2]}"')
        for reference in row.code_as + row.tests_as:
            if row.statement[0] == "5.0" or reference not in self.document.rows:
                self.say(row, f"refers to {spelled(reference)}, which has no row for it")

    def check_complete(self, row):
        if not row.code and not row.code_as:
            self.say(row, "no code")
        if not row.tests and not row.tests_as:
            self.say(row, "no test")
        for file in self.code.of(row.statement):
            if file not in row.code:
                self.say(row, f"the tag in Sources/{file} is not in the table; --fill puts it there")
        listed = {match[1] for match in map(TEST.fullmatch, row.tests) if match}
        for file in self.tests.of(row.statement):
            if file not in listed:
                self.say(row, f"the tag in Tests/{file} is not in the table; --fill puts it there")

    def check_tags(self):
        known = set(self.known)
        for tags in (self.code, self.tests):
            self.errors += tags.bad
            for statement, files in tags.files.items():
                where = ", ".join(f"{tags.top.name}/{name}" for name in files)
                if statement not in known:
                    self.errors.append(f"{where}: {spelled(statement)} is no statement of the standard")
                elif self.document.parts.get(statement) == ["clients only"]:
                    continue
                elif tags.of(statement) and statement not in self.document.rows:
                    where = ", ".join(f"{tags.top.name}/{name}" for name in tags.of(statement))
                    part = ", ".join(self.document.parts.get(statement, ["nowhere"]))
                    self.errors.append(f"{where}: {spelled(statement)} has a tag, but no row ({part})")

    def fill(self):
        for row in self.document.rows.values():
            row.code = sorted(self.code.of(row.statement))
            row.tests = [
                f'{file}: "{name}"'.replace("|", "\\|")
                for file, names in sorted(self.tests.of(row.statement).items())
                for name in names
            ]
            self.document.lines[row.line - 1] = row.text()
        DOCUMENT.write_text("\n".join(self.document.lines), encoding="utf-8")

    def has(self, row, what):
        """Whether a row has code or a test, its own or those of the rows that it refers to."""
        own, references = (row.code, row.code_as) if what == "code" else (row.tests, row.tests_as)
        rows = [self.document.rows.get(reference) for reference in references]
        return bool(own) or (bool(rows) and all(other and self.has(other, what) for other in rows))

    def missing(self):
        for row in self.document.rows.values():
            absent = [what for what in ("code", "test") if not self.has(row, what)]
            if absent:
                print(f"{spelled(row.statement)} no {' and no '.join(absent)}: {row.asks}")

    def summary(self):
        parts = []
        for standard in STATEMENTS:
            rows = [row for row in self.document.rows.values() if row.statement[0] == standard]
            others = [p for s, names in self.document.parts.items() if s[0] == standard for p in names]
            parts.append(
                f"{len(rows)} statements of {standard} (code {sum(self.has(row, 'code') for row in rows)}, "
                f"test {sum(self.has(row, 'test') for row in rows)}), {others.count('clients only')} for clients only, "
                f"{others.count('left out')} left out"
            )
        print("conformance: " + "; ".join(parts))


def main(arguments):
    unknown = set(arguments) - {"--strict", "--missing", "--fill"}
    if unknown:
        print(__doc__, file=sys.stderr)
        return 2
    check = Check()
    if "--fill" in arguments:
        check.fill()
        check = Check()
    check.run(strict="--strict" in arguments)
    if "--missing" in arguments:
        check.missing()
    for error in check.errors:
        print(error, file=sys.stderr)
    check.summary()
    return 1 if check.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
