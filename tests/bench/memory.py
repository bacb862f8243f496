#!/usr/bin/env python3
"""Peak memory (PSS) of the agent and its children while one document is read.

    memory.py DROPLEAF FILE|DIR... [--pages N]

PSS, the proportional set size, counts shared pages once; it is summed over the process and its
descendants every half second. The pages of all files (a folder: all its PDFs that open without a
password) are put together into one PDF (pypdfium2), again from the first until there are N.
The peaks of the four quarters of the time show whether memory grows with the pages.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time


def descendants(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(stat[1]), []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def pss(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def put_together(sources, pages, target):
    import pypdfium2
    files = [f for s in sources for f in (sorted(s.glob("*.pdf")) if s.is_dir() else [s])]
    parts = []
    for file in files:
        try:
            parts.append(pypdfium2.PdfDocument(file))
        except pypdfium2.PdfiumError as e:
            print(f"left out: {file.name}: {e}")
    whole = pypdfium2.PdfDocument.new()
    pages = pages or sum(len(p) for p in parts)
    while len(whole) < pages:
        for part in parts:
            take = min(len(part), pages - len(whole))
            if take > 0:
                whole.import_pages(part, range(take))
    whole.save(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("sources", type=pathlib.Path, nargs="+")
    parser.add_argument("--pages", type=int, help="pages of the document (default: those there are)")
    parser.add_argument("--samples", type=pathlib.Path, help="file for the samples: seconds, MiB by process")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        source = work / "whole.pdf"
        put_together(args.sources, args.pages, source)
        (work / "dropleaf.toml").write_text(f'[folders]\nstate = "{work}/state"\n[engine]\ndevice = "cpu"\n')
        process = subprocess.Popen(
            [args.program, "--config", work / "dropleaf.toml", "process", source, "--out", work / "out"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples, started = [], time.monotonic()
        while process.poll() is None:
            samples.append((time.monotonic() - started, [pss(p) for p in descendants(process.pid)]))
            time.sleep(0.5)
        entry = next(iter(json.loads((work / "out/processing_results.json").read_text())["files"].values()))
    if args.samples:
        args.samples.write_text("".join(f"{at:.1f} {' '.join(f'{p:.0f}' for p in each)}\n" for at, each in samples))
    totals = [sum(each) for _, each in samples]
    quarter = max(1, len(totals) // 4)
    peaks = [max(totals[i * quarter:(i + 1) * quarter], default=0) for i in range(4)]
    agent = max(each[0] for _, each in samples)
    print(f"{entry['pages']} pages, {entry['seconds']:.0f} s, success {entry['success']}")
    print(f"peak PSS {max(totals):.0f} MiB (agent alone {agent:.0f}); by quarter {', '.join(f'{p:.0f}' for p in peaks)}")


if __name__ == "__main__":
    main()
