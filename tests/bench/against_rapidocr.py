#!/usr/bin/env python3
"""Seconds a page, dropleaf's whole route against RapidOCR on the same pages, side by side.

    against_rapidocr.py [--rounds N] DROPLEAF FOLDER [NAME...]

DROPLEAF is the program, FOLDER holds PDF files, NAMEs choose some of them. The first page of each
is read. RapidOCR (pip install rapidocr==3.10.0 onnxruntime==1.31.1 pypdfium2) gets the page
rendered at 144 pixels per inch, its rendering not counted; dropleaf gets the PDF, and everything
from opening it to the published files counts: rendering, layout, texts, pictures, layout PDF. It
reads each page twice, without its text layer (never) and as it does by default (auto). Both
programs have loaded their models before. The rounds (3) alternate; the least of each page's times
counts.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pypdfium2
from rapidocr import RapidOCR

MODES = ("never", "auto")


def main():
    arguments, rounds = sys.argv[1:], 3
    if arguments[:1] == ["--rounds"] and len(arguments) > 1:
        rounds, arguments = int(arguments[1]), arguments[2:]
    if len(arguments) < 2:
        sys.exit(__doc__)
    program, folder = arguments[0], pathlib.Path(arguments[1])
    names = arguments[2:] or sorted(p.stem for p in folder.glob("*.pdf"))
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        pages, images = work / "pages", {}
        pages.mkdir()
        for name in names:
            with pypdfium2.PdfDocument(folder / f"{name}.pdf") as source:
                images[name] = source[0].render(scale=2).to_numpy()[:, :, :3].copy()
                first = pypdfium2.PdfDocument.new()
                first.import_pages(source, [0])
                first.save(pages / f"{name}.pdf")
        config = work / "dropleaf.toml"
        config.write_text(
            f'[folders]\nstate = "{work}/state"\n[watch]\ndocuments = 1\n[engine]\nthreads = {threads}\ndevice = "cpu"\n')
        engine = RapidOCR(params={
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "Global.log_level": "error",
        })
        engine(next(iter(images.values())))
        ours = {mode: dict.fromkeys(names, 1e9) for mode in MODES}
        theirs = dict.fromkeys(names, 1e9)
        for turn in range(rounds):
            for mode in MODES:
                out = work / f"{mode}{turn}"
                subprocess.run(
                    [program, "--config", config, "process", pages, "--out", out, "--text-layer", mode],
                    check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                files = json.loads((out / "processing_results.json").read_text())["files"]
                for name in names:
                    ours[mode][name] = min(ours[mode][name], files[f"{name}.pdf"]["seconds"])
            for name in names:
                began = time.perf_counter()
                engine(images[name])
                theirs[name] = min(theirs[name], time.perf_counter() - began)
        print(f"{threads} threads, load {os.getloadavg()[0]:.1f}, least of {rounds} rounds")
        print(f"{'page':28} {'RapidOCR s':>11} {'never s':>8} {'ratio':>6} {'auto s':>8} {'ratio':>6}")

        def row(name, base, never, auto):
            print(f"{name:28} {base:11.2f} {never:8.2f} {never / base:6.2f} {auto:8.2f} {auto / base:6.2f}")

        for name in names:
            row(name, theirs[name], *(ours[mode][name] for mode in MODES))
        row("sum", sum(theirs.values()), *(sum(ours[mode].values()) for mode in MODES))


if __name__ == "__main__":
    main()
