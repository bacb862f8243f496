#!/usr/bin/env python3
"""Pages a second of `dropleaf process` with the engine deepseek-ocr, from PDF files to outputs.

    throughput.py DROPLEAF MODEL WORK [--pages 1000] [--documents 20] [--tokens 1000]
                  [--sequences 32,64,128,256] [--rounds 3] [--picture FILE.svg]

MODEL is a model pack (packs of random weights will do: every page takes --tokens tokens that are
made up). The documents are drawn here: A4 pages full of words. A run of one page and one token tells
how long the program takes to start and to end; the other runs' times are given less that. While a
run lasts, nvidia-smi is asked twice a second for the share of time in which the GPU computed and for
its memory, and /proc for the memory (PSS) of the program and its children; growth is what the peak of
that memory gained from a run's second quarter to its third. What the log says of the reader's thread
comes last: milliseconds a page of each stage, of all runs together; the same stands in
$OUT/stages-N.json. Builds nothing.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

from memory import descendants, pss
from picture import bars

WORDS = (
    "the of and to in is was for that on with as by at from his her they which not are have this be "
    "one had would their there been when who will more if out so said what up its about into than "
    "them can only other new some could time these two may then do first any my now such like our "
    "over man me even most made after also did many before must through years where much your way"
).split()


def pdf(path, pages, seed):
    """A PDF of A4 pages, 55 lines of Helvetica each."""
    draw = random.Random(seed)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"",
               b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for _ in range(pages):
        lines = [" ".join(draw.choices(WORDS, k=14)) for _ in range(55)]
        text = "BT /F1 10 Tf 13.5 TL 60 790 Td " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text.encode()))
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                       b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects))
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, b" ".join(kids))
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    path.write_bytes(out)


def documents(folder, pages, count):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for i in range(count):
        share = pages // count + (i < pages % count)
        if share:
            pdf(folder / f"{i:03}.pdf", share, i)
    return folder


def run(a, source, sequences, tokens, log):
    """Seconds, and what was sampled: (share of time the GPU computed, its MiB, our MiB)."""
    out, state = a.work / "out", a.work / "state"
    for folder in (out, state):
        shutil.rmtree(folder, ignore_errors=True)
    settings = a.work / "settings.toml"
    settings.write_text(f'[folders]\nstate = "{state}"\nlog = "{a.work / "log"}"\n'
                        f"[deepseek]\nsequences = {sequences}\n")
    command = [a.program, "--config", settings, "process", source, "--out", out, "--engine", "deepseek-ocr",
               "--model", a.model, "--device", "cuda", "--forced-tokens", str(tokens)]
    began, samples = time.monotonic(), []
    with open(log, "w") as told:
        child = subprocess.Popen([str(part) for part in command], stdout=told, stderr=told)
        while child.poll() is None:
            asked = subprocess.run(["nvidia-smi", "--query-gpu=utilization.gpu,memory.used",
                                    "--format=csv,noheader,nounits"], capture_output=True, text=True)
            busy, used = (float(v) for v in asked.stdout.splitlines()[0].split(","))
            samples.append((busy, used, sum(pss(p) for p in descendants(child.pid))))
            time.sleep(0.5)
    seconds = time.monotonic() - began
    found = json.loads((out / "processing_results.json").read_text()) if child.returncode == 0 else {}
    if child.returncode or found.get("failed"):
        print(pathlib.Path(log).read_text()[-3000:])
        sys.exit(f"exit {child.returncode}, {found.get('failed')} failed")
    return seconds, samples


ACCOUNT = re.compile(r"pages read (\d+), tokens \d+, seconds [\d.]+; ms a page \(times\): (.*)")
STAGE = re.compile(r"([a-z ]+) ([\d.]+) \((\d+)\)")


def stages(logs):
    """What the reader's thread did, by the accounts in `logs`: {stage: (ms a page, times)}."""
    sums, pages = {}, 0
    for log in logs:
        for read, account in ACCOUNT.findall(pathlib.Path(log).read_text()):
            pages += int(read)
            for part in account.split(", "):
                stage, ms, times = STAGE.fullmatch(part.strip()).groups()
                was = sums.get(stage, (0, 0))
                sums[stage] = (was[0] + float(ms) * int(read), was[1] + int(times))
    return {stage: (ms / pages, times) for stage, (ms, times) in sums.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--sequences", default="32,64,128,256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--picture", type=pathlib.Path)
    a = parser.parse_args()
    a.work = a.work.resolve()
    results = pathlib.Path(os.environ.get("OUT", a.work))
    many = documents(a.work / "many", a.pages, a.documents)
    one = documents(a.work / "one", 1, 1)
    rows, spent = [], {}
    for sequences in (int(n) for n in a.sequences.split(",")):
        start, _ = run(a, one, sequences, 1, results / f"start-{sequences}.log")
        rates, logs = [], [results / f"run-{sequences}-{nth}.log" for nth in range(a.rounds)]
        for log in logs:
            seconds, samples = run(a, many, sequences, a.tokens, log)
            rates.append(a.pages / max(seconds - start, 1e-3))
        (results / f"samples-{sequences}.json").write_text(json.dumps(samples))
        spent[sequences] = stages(logs)
        (results / f"stages-{sequences}.json").write_text(json.dumps(spent[sequences]))
        # Of the last run: what lies between loading and the last pages.
        begun = int(start / seconds * len(samples))
        body = samples[begun:] or samples
        quarter = max(len(body) // 4, 1)
        host = [s[2] for s in body]
        growth = max(host[-2 * quarter:-quarter] or [0]) - max(host[quarter:2 * quarter] or [0])
        rows.append((sequences, start, statistics.median(rates), min(rates), max(rates),
                     statistics.mean(s[0] for s in body), max(s[1] for s in samples) / 1024,
                     max(host) / 1024, growth))
    name = subprocess.run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
                          capture_output=True, text=True).stdout.strip()
    if a.picture:
        title = f"A4 pages a second, from PDF to outputs: {name.split(',')[0]}"
        below = "pages decoded together ([deepseek] sequences)"
        a.picture.write_text(bars([(row[0], row[2]) for row in rows], title, below))
    print(f"{name}; {a.pages} pages in {a.documents} PDFs, {a.tokens} tokens a page, {a.rounds} runs each")
    print("sequences  start+end s  pages/s (median, least, most)  tokens/s  GPU busy %  GPU GiB  host GiB  growth MiB")
    for n, start, rate, least, most, busy, gpu, host, growth in rows:
        print(f"{n:>9} {start:>12.1f} {rate:>10.2f} {least:>8.2f} {most:>8.2f} {rate * a.tokens:>12.0f} "
              f"{busy:>11.0f} {gpu:>8.1f} {host:>9.2f} {growth:>11.0f}")
    print("the reader's thread, ms a page")
    print(f"{'sequences':<18}" + "".join(f"{n:>9}" for n in spent))
    for stage in dict.fromkeys(stage for found in spent.values() for stage in found):
        print(f"{stage:<18}" + "".join(f"{found.get(stage, (0, 0))[0]:>9.2f}" for found in spent.values()))
    print(f"{'all':<18}" + "".join(f"{sum(ms for ms, _ in found.values()):>9.2f}" for found in spent.values()))


main()
