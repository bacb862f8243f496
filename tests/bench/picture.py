#!/usr/bin/env python3
"""A picture of what `dropleaf model bench` prints: tokens a second against sequences.

    dropleaf model bench NAME | tee bench.txt; picture.py bench.txt OUT.svg
"""
import math
import pathlib
import re
import sys


def bars(rows, title, below):
    """Rows of (name, value) as SVG: a bar each, its value above and its name below."""
    width, height, left, base, top = 640, 320, 56, 264, 44
    most = max(value for _, value in rows) * 1.15
    step = 10 ** int(math.log10(most))
    step = step if most / step > 2 else step // 2 or 1
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             f'font-family="sans-serif" font-size="13">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="22" font-weight="bold">{title}</text>']
    shown = lambda value: f"{value:,.0f}" if most > 100 else f"{value:.1f}"
    y = lambda value: base - (base - top) * value / most
    for value in range(0, int(most) + 1, step):
        parts += [f'<line x1="{left}" x2="{width - 16}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>',
                  f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,}</text>']
    room = (width - 16 - left) / len(rows)
    for i, (name, value) in enumerate(rows):
        x = left + room * (i + 0.5)
        parts += [f'<rect x="{x - room / 4:.1f}" y="{y(value):.1f}" width="{room / 2:.1f}" '
                  f'height="{base - y(value):.1f}" fill="#2a7f62"/>',
                  f'<text x="{x:.1f}" y="{y(value) - 6:.1f}" text-anchor="middle">{shown(value)}</text>',
                  f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{name}</text>']
    parts += [f'<text x="{(left + width) / 2:.0f}" y="{base + 42}" text-anchor="middle">'
              f"{below}</text>", "</svg>"]
    return "\n".join(parts) + "\n"


def main():
    text = pathlib.Path(sys.argv[1]).read_text()
    device = re.search(r" on (?:CUDA \()?([^,)]+)", text)
    # Rows of the table are "sequences, ms a step, tokens/s, ...".
    rows = re.findall(r"^ +(\d+) +[\d.]+ +(\d+) +\d+ ", text, re.MULTILINE)
    if not rows or not device:
        sys.exit(f"{sys.argv[1]} is no output of dropleaf model bench")
    title = f"Tokens a second: {device[1]}"
    rows = [(sequences, float(rate)) for sequences, rate in rows]
    pathlib.Path(sys.argv[2]).write_text(bars(rows, title, "pages decoded together"))


if __name__ == "__main__":
    main()
