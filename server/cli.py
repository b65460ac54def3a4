"""The commands. What a command needs is imported when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.graph.words import VERBS, later, near
from server.flags import KserveSpelling, cache_flags, pull_flags, serve_flags
from server.signals import ends_at_once

if TYPE_CHECKING:
    from pipeline.tensors.message import Verb

_BAD_USE = 2
# Commands of the contract whose work is not built yet: refused by name, never taken for a graph file.
_LATER = frozenset({"bench", "export"})
# How `draw` writes: the files of pipeline/drawing/, which only it has to import.
_FORMATS = ("svg", "dot", "mermaid", "markdown")


class _Given(click.ParamType[Path | str]):
    """A path, or the URI of a model, which is no path: one would fold its slashes."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        if not value:
            self.fail("an empty text names no graph and no model", param, ctx)
        return value if "://" in value else Path(value)


class _Commands(click.Group):
    """``pipeline-serve graph.yaml`` is ``pipeline-serve serve graph.yaml``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in _LATER and not Path(args[0]).is_file():
            raise click.UsageError(later(f"the command {args[0]}"))
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h", "--version"):
            meant = near(args[0], self.commands) if re.fullmatch(r"[a-z]+", args[0]) else None
            if meant is not None and not Path(args[0]).exists():
                raise click.UsageError(f'there is no command "{args[0]}"; did you mean "{meant}"?')
            args = ["serve", *args]
        return super().parse_args(ctx, args)


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from server.version import NAME, VERSION  # noqa: PLC0415

        click.echo(f"{NAME} {VERSION}")
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
def cli() -> None:
    """Serve a graph of steps: pipeline-serve graph.yaml

    That is short for pipeline-serve serve graph.yaml; its flags are shown by pipeline-serve serve --help.
    """


@cli.command(cls=KserveSpelling)
@click.argument("graphs", nargs=-1, type=_Given(), metavar="GRAPH.yaml|MODEL…")
@serve_flags
def serve(**flags: Any) -> None:
    """Serve graphs and models over HTTP (the default command).

    A graph is a YAML file; a model is a file, a folder with one in it, or a URI, and is a graph of one step.

    Each flag has an environment variable: --http-port is PIPELINE_SERVE_HTTP_PORT. KServe's spellings work too.
    """
    from server.collector import importing  # noqa: PLC0415

    with importing():
        from server.config import Config  # noqa: PLC0415
        from server.start import start  # noqa: PLC0415

    if not flags["graphs"] and flags["model_repository"] is None:
        raise click.UsageError("Missing argument 'GRAPH.yaml|MODEL…'; or name a folder of models, --model-repository")
    sys.exit(start(Config(**flags)))


@cli.command()
@click.argument("graphs", nargs=-1, required=True, type=_Given(), metavar="GRAPH.yaml|MODEL…")
@click.option("--remotes", is_flag=True, help="Ask the servers that they call what they take and give.")
def check(graphs: tuple[Path | str, ...], remotes: bool) -> None:
    """Find every fault of graphs; print their edges. Downloads nothing; exit code 0 or 2."""
    from server.check import check_files  # noqa: PLC0415

    sys.exit(check_files(graphs, remotes=remotes))


@cli.command()
@click.argument("graph", type=_Given(), metavar="GRAPH.yaml|MODEL")
@click.argument("request", type=click.Path(path_type=Path, allow_dash=True), metavar="REQUEST.json")
@click.option("--verb", type=click.Choice(VERBS), default="predict", help="What to ask.")
@cache_flags
def run(graph: Path | str, request: Path, verb: Verb, **flags: Any) -> None:
    """Answer one request without a port.

    The answer goes to stdout, step timings to stderr. "-" reads the request from stdin. Exit code 0 answered, 1 the
    request failed, 2 a file has faults.
    """
    from server.config import CacheConfig  # noqa: PLC0415
    from server.once import run_once  # noqa: PLC0415

    sys.exit(run_once(graph, request, verb, CacheConfig(**flags)))


@cli.command()
@click.argument("places", nargs=-1, required=True, metavar="URI [FOLDER [URI FOLDER]…]")
@pull_flags
def pull(places: tuple[str, ...], **flags: Any) -> None:
    """Download models: one into the cache, or each into its folder.

    A URI is file, pvc, http(s), s3, gs, az, abfs(s), hf or webhdfs; endpoints and credentials are those of each cloud's
    own variables. Prints the local path, or the folders. Exit code 0 all are there, 1 one failed. What was interrupted
    goes on at the next pull.
    """
    with ends_at_once():
        from server.config import PullConfig  # noqa: PLC0415
        from server.pull import pull as bring  # noqa: PLC0415

    if len(places) > 1 and len(places) % 2:
        raise click.UsageError(f"several models are URI FOLDER URI FOLDER …, and these are {len(places)} arguments")
    if "" in places[1::2]:
        raise click.UsageError('a folder has no name; "." is the current one')
    bring(places, PullConfig(**flags))


@cli.command()
@click.argument("graph", type=_Given(), metavar="GRAPH.yaml|MODEL")
@click.option(
    "-o", "--output", metavar="FILE", help="Its ending says the format: .svg, .dot, .gv, .mmd, .mermaid, .md."
)
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Whatever the ending; SVG on stdout.")
def draw(graph: Path | str, output: str | None, form: str | None) -> None:
    """Draw a graph file, or a model, as SVG, DOT or Mermaid.

    Without -o the drawing goes to stdout. Nothing is downloaded, and no other program is needed. Exit code 0, or 2
    where the graph has faults.
    """
    from server.draw import draw_file  # noqa: PLC0415

    sys.exit(draw_file(graph, output, form))


@cli.command()
@click.argument("folder", default=".")
def init(folder: str) -> None:
    """Make a working project: a graph, its code, a request, a test.

    FOLDER is the current one by default. Nothing is overwritten: where one of the files is there, none is written.
    """
    from server.init import make_project  # noqa: PLC0415

    if not folder:
        raise click.UsageError('the folder has no name; "." is the current one')
    sys.exit(make_project(Path(folder)))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the graph file, for editors."""
    from server.schema import schema_text  # noqa: PLC0415

    click.echo(schema_text(), nl=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. A mistake in use is one line on stderr and exit code 2."""
    try:
        code = cli.main(arguments, prog_name="pipeline-serve", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(_BAD_USE)
    except click.ClickException as error:
        click.echo(f"pipeline-serve: {error.format_message()}", err=True)
        sys.exit(_BAD_USE)
    except click.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
