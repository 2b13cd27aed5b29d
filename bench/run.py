"""``make bench``: measures floors, ``qwen`` and its peers in one run.

Rounds are interleaved, so that a slow minute of the machine affects all programs; the first round
only warms up. Each program gets an empty home directory and the stub server in this process. The
bench prints its measurements; it does not pass or fail.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

# This file is run by its path, so the directory of the package `bench` must be added.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import agent, measure
from bench.programs import BARE, FLOOR, QWEN, Program, find_programs
from bench.stub_server import WORD, Script, StubExchange, StubServer
from bench.table import cell, machine, median, table

_HOLD_S = 0.4
"""A program that prints the first delta later than this prints only at the end."""

_CHUNKS = (5_000, 50_000)
_MAX_LONG_ROUNDS = 3
"""The longest runs are repeated less often, because they vary little."""

_COLUMNS = {
    "version": "`--version`",
    "request": "start → first request",
    "exit": "start → exit",
    "leave": "last byte → gone",
    "delta": "first delta → stdout",
    "cpu": "CPU",
    "rss": "peak memory",
}


class Bench:
    """Runs programs against the server, and keeps the measurements."""

    def __init__(self, server: StubServer, root: Path) -> None:
        self._server = server
        self._root = root
        self._figures: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.versions: dict[str, str] = {}
        self.failures: Counter[str] = Counter()
        self.requests: dict[str, bytes] = {}

    def round(self, programs: Sequence[Program], chunks: Sequence[int]) -> None:
        """Measure every program once."""
        for program in programs:
            if program.version:
                self._version(program)
        for program in programs:
            if program.prompt:
                self._prompt(program)
        for program in programs:
            if program.prompt:
                self._first_delta(program)
        for count in chunks:
            for program in programs:
                if program.streams:
                    self._stream(program, count)

    def forget(self) -> None:
        """Delete the measurements so far."""
        self._figures.clear()
        self.failures.clear()

    def median(self, program: str, kind: str) -> float | None:
        """The median of ``program``'s measurements; ``None`` if there are none."""
        return median(self._figures.get((program, kind), ()))

    def _version(self, program: Program) -> None:
        sample = self._run(program, program.version)
        if sample:
            self.versions[program.name] = sample.stdout.decode(errors="replace").strip()
            self._keep(program, version=1e3 * (sample.gone - sample.started))

    def _prompt(self, program: Program) -> None:
        if asked := self._ask(program, Script()):
            sample, exchange = asked
            self.requests[program.name] = exchange.body
            self._keep(
                program,
                request=1e3 * (exchange.arrived - sample.started),
                exit=1e3 * (sample.gone - sample.started),
                leave=1e3 * (sample.gone - exchange.last_sent),
                cpu=1e3 * sample.cpu_s,
                rss=sample.peak_rss_mb,
            )

    def _first_delta(self, program: Program) -> None:
        if asked := self._ask(program, Script(chunks=2, hold_s=_HOLD_S)):
            sample, exchange = asked
            seen = sample.gone if sample.seen is None else sample.seen
            self._keep(program, delta=1e3 * (seen - exchange.first_sent))

    def _stream(self, program: Program, chunks: int) -> None:
        if asked := self._ask(program, Script(chunks)):
            sample, exchange = asked
            took = 1e3 * (sample.gone - exchange.arrived)
            self._keep(program, **{f"{chunks}": took})
            self._keep(program, **{f"{chunks} cpu": 1e3 * sample.cpu_s})
            self._keep(program, **{f"{chunks} rss": sample.peak_rss_mb})

    def _ask(self, program: Program, script: Script) -> tuple[measure.Sample, StubExchange] | None:
        """Measure one prompt; ``None`` if the program failed."""
        self._server.play(script)
        sample = self._run(program, program.prompt)
        if sample is None:
            return None
        words = sample.stdout.count(WORD.encode())
        if not self._server.exchanges or words != script.chunks:
            self._fail(program, f"printed {words} of {script.chunks} words", sample)
            return None
        return sample, self._server.exchanges[0]

    def _run(self, program: Program, command: Sequence[str]) -> measure.Sample | None:
        home = self._root / "".join(filter(str.isalnum, program.name))
        work = home / "work"
        work.mkdir(parents=True, exist_ok=True)
        for name, content in program.files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}
        sample = measure.run(
            command,
            {**env, **program.env},
            work,
            expect=WORD.encode(),
            on_seen=self._server.release,
        )
        if sample.exit_code != 0:
            self._fail(program, f"exit code {sample.exit_code}", sample)
            return None
        return sample

    def _fail(self, program: Program, what: str, sample: measure.Sample) -> None:
        self.failures[program.name] += 1
        if self.failures[program.name] == 1:
            tail = sample.stderr.decode(errors="replace")[-500:]
            print(f"{program.name} failed: {what}\n{tail}", file=sys.stderr)

    def _keep(self, program: Program, **figures: float) -> None:
        for kind, value in figures.items():
            self._figures[program.name, kind].append(value)


def _medians(bench: Bench, names: Sequence[str]) -> str:
    def row(name: str) -> list[str]:
        cells = {kind: cell(bench.median(name, kind)) for kind in _COLUMNS}
        delta = bench.median(name, "delta")
        if delta is not None and delta >= 1e3 * _HOLD_S:
            cells["delta"] = "at the end"
        elif delta is not None:
            cells["delta"] = cell(delta, 1)
        return list(cells.values())

    columns = [f"{text} {'MB' if kind == 'rss' else 'ms'}" for kind, text in _COLUMNS.items()]
    return table(["median", *columns], {name: row(name) for name in names})


def _ratios(bench: Bench, names: Sequence[str]) -> str:
    kinds = {kind: text for kind, text in _COLUMNS.items() if kind != "delta"}

    def row(name: str) -> list[str]:
        return [cell(_ratio(bench, QWEN, name, kind), 2, " ×") for kind in kinds]

    rows = {f"to {name}": row(name) for name in names if name != QWEN}
    return table([f"{QWEN} relative", *kinds.values()], rows)


def _streaming(bench: Bench, names: Sequence[str]) -> str:
    few, many = _CHUNKS

    def each(name: str, count: int) -> float | None:
        took = bench.median(name, f"{count}")
        return took and 1e3 * took / count

    def row(name: str) -> list[str]:
        return [
            cell(each(name, few), 1),
            cell(each(name, many), 1),
            cell(bench.median(name, f"{many} cpu")),
            cell(bench.median(name, f"{many} rss")),
            cell(_ratio(bench, name, BARE, f"{few}"), 2, " ×"),
            cell(_ratio(bench, name, BARE, f"{many}"), 2, " ×"),
            cell(_ratio(bench, QWEN, name, f"{many}"), 2, " ×"),
            cell(_ratio(bench, QWEN, name, f"{many} cpu"), 2, " ×"),
        ]

    columns = [
        f"request → gone, {few:,} chunks, µs each",
        f"{many:,} chunks, µs each",
        f"CPU ms for {many:,}",
        f"peak memory MB for {many:,}",
        f"{few:,} relative to bare",
        f"{many:,} relative to bare",
        f"{QWEN} relative, {many:,}",
        f"{QWEN} relative, CPU",
    ]
    return table(["many chunks", *columns], {name: row(name) for name in names})


def _ratio(bench: Bench, name: str, other: str, kind: str) -> float | None:
    ours, theirs = bench.median(name, kind), bench.median(other, kind)
    return ours / theirs if ours is not None and theirs else None


def _is_agent(body: bytes) -> bool:
    """Whether a program sends tools, unlike bare clients."""
    return b'"tools"' in body


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description="Measure qwen, floors and peers.")
    parser.add_argument("--python", type=Path, required=True, help="runs the floors")
    parser.add_argument("--qwen", type=Path, required=True, help="the command under test")
    parser.add_argument("--rounds", type=int, default=os.environ.get("BENCH_ROUNDS") or 5)
    parser.add_argument(
        "--peers",
        type=Path,
        default=os.environ.get("QWEN_BENCH_PEERS") or None,
        help="a directory with node_modules that has more peers than PATH",
    )
    options = parser.parse_args()
    server = StubServer()
    with tempfile.TemporaryDirectory(prefix="qwen-bench-") as root:
        bench = Bench(server, Path(root))
        programs = find_programs(
            server.base_url, options.python.absolute(), options.qwen.absolute(), options.peers
        )
        names = [program.name for program in programs]
        print(f"measuring {', '.join(names)}", file=sys.stderr)
        bench.round(programs, _CHUNKS[:1])
        bench.forget()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            bench.round(programs, _CHUNKS if number < _MAX_LONG_ROUNDS else _CHUNKS[:1])
        print("the agent", file=sys.stderr)
        python = options.python.absolute()
        agents = {name: body for name, body in bench.requests.items() if _is_agent(body)}
        of_the_agent = [
            agent.tokens(python, agents),
            agent.turns(python, Path(root)),
            agent.searches(python, Path(root) / "tree", options.rounds),
            agent.calls(python, Path(root) / "calls", options.rounds),
            agent.stops(python, Path(root) / "stop", options.rounds),
        ]
    server.close()
    print(f"{_medians(bench, names)}\n\n{_ratios(bench, names)}\n\n{_streaming(bench, names)}\n")
    print("\n\n".join(of_the_agent), end="\n\n")
    print(f"Medians of {options.rounds} interleaved rounds on {machine()}.")
    versions = {name: text for name, text in bench.versions.items() if name != FLOOR}
    print("; ".join(f"{name} {text}" for name, text in versions.items()) + ".")
    for name, count in bench.failures.items():
        print(f"{name} failed {count} times; its numbers are from its other runs, if any.")


if __name__ == "__main__":
    main()
