#!/usr/bin/env python3
"""Time and peak memory of a long book without pictures: `dropleaf process` on an EPUB made here.

    novel.py DROPLEAF [--chapters N] [--words N]

40 chapters of 11,000 words are some 1,200 typeset pages. Memory is PSS every 0.1 s: of the agent,
which holds the models, and of the process that reads the book.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from memory import descendants, pss

SYLLABLES = "ba be ci do fa gu ha ke li mo na pe ra se ti vo wa zu en or al is".split()
CONTAINER = ('<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
             '<rootfile full-path="p.opf" media-type="application/oebps-package+xml"/></rootfiles></container>')


def novel(path, chapters, words):
    chance = random.Random(1)
    lexicon = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(4000)]
    items, spine = "", ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER)
        for number in range(chapters):
            left, body = words, f"<h1>Chapter {number + 1}</h1>"
            while left > 0:
                sentences = []
                for _ in range(chance.randint(2, 9)):
                    sentence = chance.choices(lexicon, k=chance.randint(5, 20))
                    left -= len(sentence)
                    sentences.append(" ".join(sentence).capitalize() + ".")
                body += f"<p>{' '.join(sentences)}</p>"
            archive.writestr(f"c{number}.xhtml", '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">'
                             f"<head><title>c</title></head><body>{body}</body></html>")
            items += f'<item id="c{number}" href="c{number}.xhtml" media-type="application/xhtml+xml"/>'
            spine += f'<itemref idref="c{number}"/>'
        archive.writestr("p.opf", '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
                         '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A Novel</dc:title>'
                         '<dc:identifier id="i">novel</dc:identifier><dc:language>en</dc:language></metadata>'
                         f"<manifest>{items}</manifest><spine>{spine}</spine></package>")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--chapters", type=int, default=40)
    parser.add_argument("--words", type=int, default=11000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        novel(work / "novel.epub", args.chapters, args.words)
        (work / "dropleaf.toml").write_text(f'[folders]\nstate = "{work}/state"\n[engine]\ndevice = "cpu"\n')
        started = time.monotonic()
        process = subprocess.Popen(
            [args.program, "--config", work / "dropleaf.toml", "process", work / "novel.epub", "--out", work / "out"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        agent = child = 0.0
        while process.poll() is None:
            each = [pss(p) for p in descendants(process.pid)]
            agent, child = max(agent, each[0]), max(child, sum(each[1:]))
            time.sleep(0.1)
        whole = time.monotonic() - started
        entry = next(iter(json.loads((work / "out/processing_results.json").read_text())["files"].values()))
    print(f"{entry['pages']} pages, {entry['seconds']:.1f} s ({whole:.1f} s with loading the models), success {entry['success']}")
    print(f"peak PSS: the agent {agent:.0f} MiB, the process that reads the book {child:.0f} MiB")


if __name__ == "__main__":
    main()
