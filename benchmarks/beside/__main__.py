"""This server beside its peers, on the same work, in one interleaved run.

    python -m benchmarks.beside [--only ours,kserve] [--works small-16,tensor] [--rounds 3] [--seconds 2] [--write]

KServe 0.21 as it comes, and with its logs off and uvloop; Triton with its Python backend; mosec; MLServer; LitServe;
and a bare blocking socket, which is what the machine can do. Ours also with two workers, and without pysimdjson. Peers
are installed into ``.peers/`` when first asked for. Small requests are asked by wrk (Debian: ``apt install wrk``) for
some seconds, large ones a number of times, and each answer of those is checked. Who is not being asked is stopped
meanwhile. Prints medians over the rounds: requests per second, latency, the CPU of all of a server's processes per
request, and the ratio to KServe (to the bare socket for the binary tensor) of each round; then how ours stand to the
targets. ``--write`` puts it all into RESULTS.md, beside which PROFILE.md says why.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from benchmarks import chain
from benchmarks.beside.contenders import HAS_SIMDJSON, Contender, contenders, started
from benchmarks.beside.loads import Measured, ask
from benchmarks.beside.processes import Running
from benchmarks.beside.targets import Verdict, verdicts
from benchmarks.beside.works import Work, works

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
PROFILE = RESULTS.with_name("PROFILE.md")
"""Written by hand: why, where RESULTS.md says what."""
MEASURES = ("rate", "median", "cpu")
STARTS = 5
Rounds = Mapping[str, Mapping[str, Sequence[Measured]]]
"""Work → contender → what each round gave."""


def main() -> None:
    known = contenders()
    read = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    read.add_argument("--only", default="", metavar="NAMES", help=f"of {', '.join(known)}; all without it")
    read.add_argument(
        "--works", default="", metavar="NAMES", help=f"of {', '.join(own.name for own in works())}; all without it"
    )
    read.add_argument("--rounds", type=int, default=3, help="how often all take turns (3)")
    read.add_argument("--seconds", type=int, default=2, help="that wrk asks for in each turn (2)")
    read.add_argument("--write", action="store_true", help=f"puts it into {RESULTS.name}, for which all are asked")
    told = read.parse_args()
    if told.write and (told.only or told.works):
        read.error(f"{RESULTS.name} is about all of them: leave out --only and --works, or --write")
    chosen = {name: known[name] for name in _named(told.only, known)}
    asked = [work for work in works() if work.name in _named(told.works, [work.name for work in works()])]
    with tempfile.TemporaryDirectory() as made, started(chosen, Path(made)) as servers:
        resting = at_rest({name: chosen[name] for name in servers}, servers, Path(made))
        rounds = measured(asked, chosen, servers, told.rounds, told.seconds, Path(made))
        further_step = chain.further(trio.run(chain.measured)) if "ours" in servers else None
    lines = [*_machine(), *_resting(resting)]
    for work in asked:
        lines += _table(work, rounds[work.name])
    lines += _judged(verdicts(rounds, resting, further_step))
    print("\n".join(lines))
    if told.write:
        RESULTS.write_text("\n".join([*lines, ""]))


def _named(text: str, all_of: Iterable[str]) -> list[str]:
    names = list(all_of)
    chosen = text.split(",") if text else names
    if unknown := set(chosen) - set(names):
        sys.exit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return chosen


def at_rest(
    chosen: Mapping[str, Contender], servers: Mapping[str, Sequence[Running]], folder: Path
) -> dict[str, tuple[float, float]]:
    """Seconds from start to ready, and bytes of memory, of each server's first process group, before it is asked.

    The first start may have compiled: the seconds are the median of others, all servers' in turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for number in range(STARTS):
        for name, own in chosen.items():
            place = folder / f"{name.replace(' ', '-')}-{number}"
            place.mkdir()
            with contextmanager(own.start)(place) as again:
                seconds[name].append(again[0].seconds)
    return {name: (statistics.median(seconds[name]), servers[name][0].memory()) for name in chosen}


def measured(  # a run is all of this
    asked: Sequence[Work],
    chosen: Mapping[str, Contender],
    servers: Mapping[str, Sequence[Running]],
    rounds: int,
    seconds: int,
    folder: Path,
) -> Rounds:
    """In turns: in each round everybody does each work once."""
    found: dict[str, dict[str, list[Measured]]] = {work.name: {} for work in asked}
    for number in range(rounds):
        for work in asked:
            for name, own in servers.items():
                path = chosen[name].paths.get(work.path)
                if path is None:
                    continue
                print(f"round {number + 1}: {work.name} {name}", file=sys.stderr)
                with _awake(own, rests=chosen[name].rests):
                    try:
                        got = ask(work, path, own, seconds, folder)
                        found[work.name].setdefault(name, []).append(got)
                    except (AssertionError, OSError) as error:
                        print(f"{name} cannot do {work.name}: {error}", file=sys.stderr)
    return found


@contextmanager
def _awake(servers: Sequence[Running], *, rests: bool) -> Iterator[None]:
    for server in servers:
        server.resume()
    try:
        yield
    finally:
        for server in servers if rests else ():
            server.pause()


def _machine() -> list[str]:
    cores = len(os.sched_getaffinity(0))
    when = datetime.datetime.now(tz=datetime.UTC).date()
    machine = (
        f"{when}, {_processor()}, {cores} cores shared by the servers and who asks them, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}. Loopback. Read the ratios: each is the median of "
        "the ratios within one round, and both sides of it ran within seconds of each other."
    )
    return [
        "# Beside the peers",
        "",
        machine,
        "",
        f"What a profile shows of targets that are not reached: [{PROFILE.name}]({PROFILE.name}).",
        "",
        f"Ours reads long arrays of numbers by {'pysimdjson' if HAS_SIMDJSON else 'orjson'}.",
        "",
    ]


def _processor() -> str:
    known = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    return next((text.strip() for name, text in known.items() if name.strip() == "model name"), platform.machine())


def _resting(resting: Mapping[str, tuple[float, float]]) -> list[str]:
    rows = [f"| {name} | {seconds:.2f} | {size / 1e6:.0f} |" for name, (seconds, size) in resting.items()]
    return ["| at rest | start to ready, s | memory, MB |", "|---|---|---|", *rows, ""]


def _table(work: Work, rounds: Mapping[str, Sequence[Measured]]) -> list[str]:
    base = "bare socket" if "bare socket" in rounds else "kserve"
    lines = [f"| {work.title} | requests/s | p50 ms | CPU µs | × {base} | CPU × |", "|---|---|---|---|---|---|"]
    for name, own in rounds.items():
        rate, median, cpu = (statistics.median(getattr(one, what) for one in own) for what in MEASURES)
        faster, cheaper = _ratio(own, rounds.get(base), "rate"), _ratio(own, rounds.get(base), "cpu")
        lines.append(f"| {name} | {rate:.1f} | {median * 1e3:.2f} | {cpu * 1e6:.1f} | {faster} | {cheaper} |")
    return [*lines, ""]


def _ratio(own: Sequence[Measured], base: Sequence[Measured] | None, what: str) -> str:
    if not base:
        return "–"
    each = [getattr(a, what) / getattr(b, what) for a, b in zip(own, base, strict=False)]
    return f"{statistics.median(each):.3g} ({min(each):.3g} to {max(each):.3g})"


def _judged(found: Sequence[Verdict]) -> list[str]:
    rows = [f"| {own.what} | {own.target} | {own.value:.3g} | {'yes' if own.met else '**no**'} |" for own in found]
    return ["| ours | target | measured | met |", "|---|---|---|---|", *rows]


if __name__ == "__main__":
    main()
