#!/usr/bin/env python3
"""Runs recordings through `footfall replay` and compares the topics with a recount in Python.

Without arguments, what CI runs: hand-made cases, a simulated town of a day, the recordings beside
the repository, and a few drawn histories. With files, only these recordings, by the rules of
--businesses. The exit status is 0 only if everything is equal.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True

import cases
import compare
import histories
import recording
import topics

REPOSITORY = Path(__file__).resolve().parents[2]
TRACES = REPOSITORY / os.environ.get("FOOTFALL_TRACES", "../shared/traces")


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="footfall-checker-") as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [("recording", path, options.businesses) for path in options.files] or standard_jobs(options)
        print(f"{'input':<18}{'sightings':>10}{'visits':>8}{'walk-ins':>9}{'contacts':>9}{'counted':>8}  s    result")
        unequal = 0
        with concurrent.futures.ProcessPoolExecutor(options.processes) as pool:
            for future in [pool.submit(run, job, number, folder, options) for number, job in enumerate(jobs)]:
                equal, report = future.result()
                unequal += not equal
                print(report, flush=True)
    if unequal:
        print(f"{unequal} of {len(jobs)} inputs are not equal. --keep DIR keeps inputs and topics.")
    return 1 if unequal else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=absolute, help="recordings: CSV or NDJSON, gzipped or not")
    parser.add_argument("--businesses", type=absolute, help="the documents of the businesses of FILES, as for replay")
    parser.add_argument("--seed", type=int, default=1, help="of the town and of the first history [1]")
    parser.add_argument("--histories", type=int, default=3, help="number of drawn ones, each with the next seed [3]")
    parser.add_argument("--town", default="24h", metavar="DURATION", help="of the town [24h]")
    parser.add_argument("--keep", type=absolute, metavar="DIR", help="keep inputs, topics and logs in this folder")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="inputs at a time [number of CPUs]")
    parser.add_argument("--bin", type=absolute, default=REPOSITORY / "bin", help="folder of the binaries")
    options = parser.parse_args()
    if not (options.bin / "topicdump").exists() or not (options.bin / "footfall").exists():
        parser.error(f"{options.bin} lacks footfall or topicdump: run make build, and then scripts/checker.sh")
    return options


def absolute(path):
    """Returns a path of the command line; the commands of this check run in other folders."""
    return Path(path).resolve()


def standard_jobs(options):
    """Returns the inputs of CI, the long ones first. A job is a kind and the arguments of its making."""
    jobs = []
    for name in ("lab.csv.gz", "office.csv.gz"):
        if (TRACES / name).exists():
            jobs.append(("recording", TRACES / name, None))
        else:
            print(f"The recording {name} is not in {TRACES.resolve()}: it is not checked.")
    jobs += [("history", options.seed + i) for i in range(options.histories)]
    return jobs + [("town", options.seed, options.town), ("cases",)]


def make(job, folder, options):
    """Makes the input of a job and returns its name, its recording and the documents of its businesses."""
    kind, *rest = job
    path, businesses = folder / "input.ndjson", folder / "businesses.json"
    if kind == "recording":
        return rest[0].name, rest[0], rest[1]
    if kind == "town":
        seed, duration = rest
        subprocess.run([options.bin / "footfall", "simulate", "--seed", str(seed), "--duration", duration,
                        "--out", path, "--businesses-out", businesses], check=True)
        return f"town {seed}, {duration}", path, businesses
    if kind == "history":
        made = histories.draw(rest[0])
        name = f"history {rest[0]}"
    else:
        made = cases.make()
        name = "cases"
    made.write(path, businesses)
    return name, path, businesses


def run(job, number, folder, options):
    """Runs one input. Returns whether everything is equal, and a report."""
    began = time.monotonic()
    folder = folder / str(number)
    folder.mkdir(exist_ok=True)
    try:
        name, path, businesses = make(job, folder, options)
        replay(path, businesses, folder, options)
        with open(folder / "topics.ndjson") as lines:
            produced = topics.read(lines)
        documents = json.loads(businesses.read_text()) if businesses else {}
        result = compare.Comparison(recording.read(str(path)), documents, produced)
    except Exception:  # of one input: the others are checked all the same
        return False, f"{' '.join(map(str, job))}\n{traceback.format_exc()}"
    lines = [f"{name:<18}{result.sightings:>10}{len(result.visits):>8}{result.walk_ins:>9}{len(result.counts):>9}"
             f"{result.counted:>8}{time.monotonic() - began:>5.0f}  {'DIFFERENT' if result.differences else 'equal'}"]
    return not result.differences, "\n".join(lines + result.lines())


def replay(path, businesses, folder, options):
    """Runs a recording through the pipeline, and writes its topics to topics.ndjson."""
    data, log = folder / "data", folder / "replay.log"
    shutil.rmtree(data, ignore_errors=True)
    command = [options.bin / "footfall", "replay", "--bin", options.bin, "--data-dir", data, path]
    if businesses:
        command += ["--businesses", businesses]
    with open(log, "w") as out:
        # It exits with 1 if the oracle of Footfall finds a difference: then it has printed the table
        # of the comparison. This check has an opinion of its own on that.
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY).returncode
    if code and "expected (oracle)" not in log.read_text():
        raise RuntimeError(f"footfall replay exited with {code}:\n{log.read_text()[-2000:]}")
    # Open the data again, without ticks: nothing is left to do, so that nothing changes.
    command = [options.bin / "footfall", "local", "--no-ticks", "--bin", options.bin, "--data-dir", data]
    local = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=REPOSITORY)
    try:
        broker = next((line.split()[1] for line in local.stdout if line.startswith("broker")), None)
        if broker is None:
            raise RuntimeError(f"footfall local did not open {data}")
        with open(folder / "topics.ndjson", "w") as out:
            subprocess.run([options.bin / "topicdump", broker, *topics.TOPICS], stdout=out, check=True)
    finally:
        local.send_signal(2)
        local.stdout.read()
        local.wait()
    shutil.rmtree(data)


if __name__ == "__main__":
    sys.exit(main())
