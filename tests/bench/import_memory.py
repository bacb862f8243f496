#!/usr/bin/env python3
"""Peak anonymous memory and time of `dropleaf model import`.

    import_memory.py DROPLEAF CHECKPOINT [--dtype bf16|f32] [--data DIR]

RssAnon of /proc/PID/status, read a hundred times a second. The pack goes to a folder under DIR
(default: the system's temporary folder) that is removed at the end. --limit MB exits 1 above it.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time


def anonymous(pid):
    try:
        found = re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) / 1024 if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("checkpoint")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--data")
    parser.add_argument("--limit", type=float, default=2000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.data) as data:
        started, peak = time.monotonic(), 0
        command = [args.program, "model", "import", args.checkpoint, "--name", "m", "--dtype", args.dtype]
        child = subprocess.Popen(command, env={**os.environ, "DROPLEAF_DATA": data})
        while child.poll() is None:
            peak = max(peak, anonymous(child.pid))
            time.sleep(0.01)
        seconds = time.monotonic() - started
        size = sum(f.stat().st_size for f in pathlib.Path(data).rglob("*") if f.is_file())
    print(f"{seconds:.1f} s, {size / 1e6:.0f} MB written, peak RssAnon {peak:.0f} MiB")
    sys.exit(child.returncode or int(peak * 1.048576 > args.limit))


main()
