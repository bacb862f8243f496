#!/usr/bin/env python3
"""Cells of tables: how many of the true ones stand in their place with their text.

    tests/bench/cells.py FOLDER TRUTH [--show]

FOLDER holds what dropleaf wrote, NAME/NAME.mmd; TRUTH holds NAME.json, for each page (from 1) its
tables, for each table its rows of cells:

    {"1": [[["Item", "2014"], ["Sales", "$1,234"]]]}

`null` is a place that a cell beside it or above spans. A true table is compared with that table of
its page in which most cells are right: rows and columns of both are aligned in order, so that the
most cells have the same text; a true cell with text is right where its aligned place says the
same, with white space folded, quotes and dashes normalised, markup and escapes taken away. --show
prints the cells that are not.
"""
import argparse
import html.parser
import json
import pathlib
import re
import sys
import unicodedata

SPLIT = "<--- Page Split --->"


class Tables(html.parser.HTMLParser):
    """Tables of HTML as rows of cells; what a span covers is None."""

    def __init__(self):
        super().__init__()
        self.tables, self.cell, self.at = [], None, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "table":
            self.tables.append({})
            self.row = -1
        elif tag == "tr" and self.tables:
            self.row += 1
        elif tag in ("td", "th") and self.tables:
            table, column = self.tables[-1], 0
            while (self.row, column) in table:
                column += 1
            for r in range(int(attrs.get("rowspan", 1))):
                for c in range(int(attrs.get("colspan", 1))):
                    table[self.row + r, column + c] = None
            self.at, self.cell = (self.row, column), ""
        elif tag == "br" and self.cell is not None:
            self.cell += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.cell is not None:
            self.tables[-1][self.at] = self.cell
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


def tables(page):
    parser = Tables()
    for found in re.findall(r"<table.*?</table>", page, re.S):
        parser.feed(found)
    out = []
    for table in parser.tables:
        rows = 1 + max((r for r, _ in table), default=-1)
        columns = 1 + max((c for _, c in table), default=-1)
        out.append([[table.get((r, c), "") for c in range(columns)] for r in range(rows)])
    block = []
    for line in page.splitlines() + [""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
            if not all(re.fullmatch(r"\s*:?-+:?\s*", c) for c in cells):
                block.append([re.sub(r"\\(.)", r"\1", c) for c in cells])
        elif block:
            out.append(block)
            block = []
    return out


def plain(text):
    text = unicodedata.normalize("NFKC", re.sub(r"</?(sup|sub)>", "", text or ""))
    text = re.sub("[‐‑‒–—―−]", "-", text)
    text = re.sub("[‘’`´]", "'", re.sub("[“”]", '"', text))
    text = re.sub(r"([$€£¥(])\s+", r"\1", re.sub(r"\s+([)%])", r"\1", text))
    return re.sub(r"\s+", " ", text).strip()


def aligned(score, n, m):
    """Pairs in order, with the greatest sum of score(i, j)."""
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n):
        for j in range(m):
            best[i + 1][j + 1] = max(best[i][j + 1], best[i + 1][j], best[i][j] + score(i, j))
    pairs, i, j = {}, n, m
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs[i] = j
    return pairs


def right(true, found):
    """Places of true cells that are right."""
    true, found = ([[plain(c) for c in row] for row in table] for table in (true, found))
    width, wide = max(map(len, true)), max(map(len, found))
    true = [row + [""] * (width - len(row)) for row in true]
    found = [row + [""] * (wide - len(row)) for row in found]
    same = lambda r, c, s, d: bool(true[r][c]) and true[r][c] == found[s][d]
    rows = aligned(lambda r, s: sum(bool(t) and t in found[s] for t in true[r]), len(true), len(found))
    for _ in range(3):
        columns = aligned(lambda c, d: sum(same(r, c, s, d) for r, s in rows.items()), width, wide)
        rows = aligned(lambda r, s: sum(same(r, c, s, d) for c, d in columns.items()), len(true), len(found))
    return {(r, c) for r, s in rows.items() for c, d in columns.items() if same(r, c, s, d)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("truth", type=pathlib.Path)
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    names = sorted(args.truth.glob("*.json"))
    if not names:
        sys.exit(f"cells.py: no truth in {args.truth}")
    total = [0, 0, 0, 0]
    print(f"{'page':40} {'tables':>8} {'found':>6} {'cells':>6} {'right':>6}")
    for path in names:
        name = path.stem
        text = args.folder.joinpath(name, name + ".mmd").read_text()
        for number, wanted in json.loads(path.read_text()).items():
            found = tables(text.split(SPLIT)[int(number) - 1])
            row = [len(wanted), 0, 0, 0]
            for true in wanted:
                cells = {(r, c) for r, cs in enumerate(true) for c, t in enumerate(cs) if plain(t)}
                best = max((right(true, f) for f in found), key=len, default=set())
                row = [row[0], row[1] + bool(best), row[2] + len(cells), row[3] + len(best)]
                if args.show:
                    for r, c in sorted(cells - best):
                        print(f"  not right: row {r} column {c}: {true[r][c]}")
            total = [a + b for a, b in zip(total, row)]
            print(f"{name + ' ' + number:40} {row[0]:8} {row[1]:6} {row[2]:6} {row[3]:6}")
    print(f"{'all':40} {total[0]:8} {total[1]:6} {total[2]:6} {total[3]:6}  {100 * total[3] / max(total[2], 1):.1f} %")


if __name__ == "__main__":
    main()
