#!/usr/bin/env python3
"""Peak memory (PSS) of the agent and its children while one document is read.

    memory.py DROPLEAF FILE [--repeat N]

PSS, the proportional set size, counts shared pages once; it is summed over the process and its
descendants every half second. --repeat N puts the pages of FILE together N times (pypdfium2).
The peaks of the first and the last quarter of the pages show whether memory grows with them.
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        source = args.file
        if args.repeat > 1:
            import pypdfium2
            whole, part = pypdfium2.PdfDocument.new(), pypdfium2.PdfDocument(args.file)
            for _ in range(args.repeat):
                whole.import_pages(part)
            source = work / "whole.pdf"
            whole.save(source)
        (work / "dropleaf.toml").write_text(f'[folders]\nstate = "{work}/state"\n[engine]\ndevice = "cpu"\n')
        process = subprocess.Popen(
            [args.program, "--config", work / "dropleaf.toml", "process", source, "--out", work / "out"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples = []
        while process.poll() is None:
            samples.append(sum(pss(p) for p in descendants(process.pid)))
            time.sleep(0.5)
        entry = next(iter(json.loads((work / "out/processing_results.json").read_text())["files"].values()))
    quarter = max(1, len(samples) // 4)
    print(f"{entry['pages']} pages, {entry['seconds']:.0f} s, success {entry['success']}")
    print(f"peak PSS {max(samples):.0f} MiB; first quarter {max(samples[:quarter]):.0f}, last {max(samples[-quarter:]):.0f}")


if __name__ == "__main__":
    main()
