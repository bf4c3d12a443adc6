#!/usr/bin/env python3
"""Runs one libFuzzer program for a while, from seeds made anew, and judges the run.

It fails where the fuzzer finds a defect, where it executes fewer inputs than the floor, and where the seeds
do not lead further into the parser than garbage does.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

LIMITS = ["-rss_limit_mb=512", "-malloc_limit_mb=64", "-timeout=5", "-max_len=65536"]
# AddressSanitizer keeps freed memory, by default half of the limit above.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=16"}
# The seeds must reach this many times the code that garbage reaches.
LEAST_REACH = 1.3
# A busy machine gets this many times the time to execute as many inputs as the floor says.
MOST_ROUNDS = 4


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzzer", type=pathlib.Path, required=True)
    parser.add_argument("--make-seeds", type=pathlib.Path, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--least-executions", type=int, required=True)
    parser.add_argument("--artifacts", type=pathlib.Path, required=True)
    return parser.parse_args()


def run_fuzzer(arguments, corpus, extra):
    command = [arguments.fuzzer, *LIMITS, *extra, f"-artifact_prefix={arguments.artifacts}/", corpus]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env=ENVIRONMENT)
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        print(text[-8000:])
        sys.exit(f"{arguments.target}: the fuzzer failed with status {done.returncode}; "
                 f"the input is in {arguments.artifacts}")
    return text


def coverage_after(event, text):
    found = re.findall(rf"{event}\s+cov: (\d+)", text)
    if not found:
        sys.exit(f"the fuzzer's output has no coverage after {event}:\n{text[-4000:]}")
    return int(found[-1])


def coverage_of_garbage(arguments):
    with tempfile.TemporaryDirectory() as corpus:
        pathlib.Path(corpus, "garbage").write_bytes(b"\x7fgarbage" * 16)
        return coverage_after("INITED", run_fuzzer(arguments, corpus, ["-runs=0"]))


def fuzz(arguments, corpus):
    """What each round printed, and how many inputs all of them executed. A later round goes on from the corpus."""
    rounds, executions = [], 0
    while len(rounds) < MOST_ROUNDS and (not rounds or executions < arguments.least_executions):
        rounds.append(run_fuzzer(arguments, corpus, [f"-max_total_time={arguments.seconds}", "-print_final_stats=1"]))
        executions += int(re.search(r"stat::number_of_executed_units:\s+(\d+)", rounds[-1]).group(1))
    return rounds, executions


def main():
    arguments = parse_arguments()
    arguments.artifacts.mkdir(parents=True, exist_ok=True)
    garbage = coverage_of_garbage(arguments)
    with tempfile.TemporaryDirectory() as corpus:
        subprocess.run([arguments.make_seeds, arguments.target, corpus], check=True)
        seeds = len(list(pathlib.Path(corpus).iterdir()))
        rounds, executions = fuzz(arguments, corpus)
    started, ended = coverage_after("INITED", rounds[0]), coverage_after("DONE", rounds[-1])
    print(f"{arguments.target}: {executions} executions in {len(rounds) * arguments.seconds} s from {seeds} valid "
          f"seeds; coverage {garbage} of garbage, {started} of the seeds, {ended} at the end")
    if executions < arguments.least_executions:
        sys.exit(f"{arguments.target}: at least {arguments.least_executions} executions were expected")
    if started < garbage * LEAST_REACH:
        sys.exit(f"{arguments.target}: the seeds lead no further than garbage does")


if __name__ == "__main__":
    main()
