#!/usr/bin/env python3
"""Seconds a page, dropleaf's whole route against RapidOCR on the same pages, side by side.

    against_rapidocr.py DROPLEAF FOLDER [NAME...]

DROPLEAF is the program, FOLDER holds PDF files, NAMEs choose some of them. The first page of each
is read. RapidOCR (pip install rapidocr==3.10.0 onnxruntime==1.31.1 pypdfium2) gets the page
rendered at 144 pixels per inch, its rendering not counted; dropleaf gets the PDF, and everything
from opening it to the published files counts: rendering, layout, texts, pictures, layout PDF.
Both have loaded their models before. The rounds alternate; the least of each page's times counts.
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

ROUNDS = 3


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    names = sys.argv[3:] or sorted(p.stem for p in folder.glob("*.pdf"))
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
        ours, theirs = dict.fromkeys(names, 1e9), dict.fromkeys(names, 1e9)
        for turn in range(ROUNDS):
            out = work / f"out{turn}"
            subprocess.run([program, "--config", config, "process", pages, "--out", out],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            files = json.loads((out / "processing_results.json").read_text())["files"]
            for name in names:
                ours[name] = min(ours[name], files[f"{name}.pdf"]["seconds"])
            for name in names:
                began = time.perf_counter()
                engine(images[name])
                theirs[name] = min(theirs[name], time.perf_counter() - began)
        print(f"{threads} threads, load {os.getloadavg()[0]:.1f}, least of {ROUNDS} rounds")
        print(f"{'page':28} {'dropleaf s':>11} {'RapidOCR s':>11} {'ratio':>6}")
        for name in names:
            print(f"{name:28} {ours[name]:11.2f} {theirs[name]:11.2f} {ours[name] / theirs[name]:6.2f}")
        a, b = sum(ours.values()), sum(theirs.values())
        print(f"{'sum':28} {a:11.2f} {b:11.2f} {a / b:6.2f}")


if __name__ == "__main__":
    main()
