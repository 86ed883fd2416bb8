"""Times `tern bench train` against the same model in PyTorch, in turn, and prints a table in Markdown.

usage: compare.py TERN [--rounds 3] [--threads 1] [--python python3] [--precision ternary full]
TERN is the program, for example artifacts/bin/Tern.Cli/release/tern; the Python must have torch.
Figures are tokens per second of processor time; the table has the medians of the rounds.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

# Name of the preset, and what PyTorch is told: width, layers, heads, feed-forward, vocabulary. Then sequences per step and steps per round.
SIZES = [
    ("1m", (128, 3, 4, 384, 4096), 16, 6),
    ("5m", (256, 5, 4, 768, 4096), 8, 4),
    ("16m", (384, 8, 6, 1024, 4096), 8, 2),
]
CONTEXT = 256


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\n")[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tern")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--precision", nargs="+", default=["ternary", "full"])
    options = parser.parse_args()
    peer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "train_step.py")

    print("| size | weights | precision | round | tern tok/CPU-s | PyTorch tok/CPU-s | ratio | tern, share of float peak |")
    print("|---|---:|---|---|---:|---:|---:|---:|")
    results = []
    for precision in options.precision:
        for name, shape, batch, steps in SIZES:
            ours, theirs = [], []
            for round_number in range(1, options.rounds + 1):
                tern = run([options.tern, "bench", "train", "--size", name, "--context", str(CONTEXT), "--batch", str(batch),
                            "--steps", str(steps), "--threads", str(options.threads), "--precision", precision, "--json"])
                torch = run([options.python, peer, *map(str, shape), str(CONTEXT), str(batch), str(steps), str(options.threads), precision])
                assert tern["parameters"] == torch["parameters"], (tern["parameters"], torch["parameters"])
                ours.append(tern["tokensPerCpuSecond"])
                theirs.append(torch["tokens_per_cpu_second"])
                print(f"| {name} | {tern['parameters']} | {precision} | {round_number} | {ours[-1]:.0f} | {theirs[-1]:.0f} | {ours[-1] / theirs[-1]:.2f} | {tern['shareOfFloatPeak']:.2f} |", flush=True)
            a, b = statistics.median(ours), statistics.median(theirs)
            print(f"| {name} | {tern['parameters']} | {precision} | median | {a:.0f} | {b:.0f} | **{a / b:.2f}** | |", flush=True)
            results.append({"size": name, "precision": precision, "tern": ours, "torch": theirs, "ratio": a / b})
    print()
    print(f"- {tern['machine']}; PyTorch {torch['torch']}; {options.threads} thread(s), context {CONTEXT}")
    print(f"- `python3 {' '.join(sys.argv)}`")
    print(json.dumps(results))


main()
