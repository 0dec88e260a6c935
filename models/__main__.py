"""``python -m splitgym.models net.onnx``: how a network is read and where it can be cut, without running it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.table import Table

from ..ui.console import Parser, entry, listed, note, png_file, print_table, stdout, wrapped
from ..ui.numerals import prefixed
from .lookup import check_model, get_model, model_summaries
from .model import Model
from .own.names import is_own, model_title, with_input, with_outputs
from .report import Row, as_data, cuts_worth_a_look, rows_of

PROG = "python -m splitgym.models"


def main(argv: Sequence[str] | None = None) -> int:
    """Say what a network is; nothing is trained or run."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    name = with_outputs(with_input(args.model, args.input), args.output)
    check_model(name)
    model, nodes, outputs, notes = get_model(name), None, (), ()
    if is_own(name):
        from .own.read import outline

        read = outline(name)
        model, nodes, outputs, notes = read.model, read.nodes, read.outputs, read.notes
    rows = rows_of(model, nodes)
    if args.json:
        print(json.dumps(as_data(model, rows, outputs, notes), indent=1))
    else:
        _tell(model, rows, [f"{o.name} {'x'.join(map(str, o.sizes)) or 'one number'}" for o in outputs], notes)
    if args.picture is not None:
        from ..ui.canvas import save_figure
        from .picture import network_figure

        save_figure(network_figure(model, rows, model_title(name)), args.picture)
        note(f"{args.picture}: the picture")
    return 0


def _parser() -> Parser:
    parser = Parser(
        PROG,
        "Read a network and say how it was cut up: units that can be split by height, what reads every row, the tail,\n"
        "and what every cut would send. Nothing is trained or run.",
        _help,
    )
    parser.add_argument("model", help="net.onnx, module:factory for torch, or a network of the zoo")
    parser.add_argument("--input", metavar="CxHxW", help="size of the input where the network leaves it open")
    parser.add_argument("--output", metavar="NAME", nargs="+", default=[], help="outputs that are wanted, not all")
    parser.add_argument("--json", action="store_true", help="the same as JSON, with the nodes of every step")
    parser.add_argument("--picture", metavar="FILE.png", type=png_file, help="bytes and MACs along the chain")
    return parser


def _help() -> str:
    lines = wrapped("rows: ", "windowed: a unit's row reads its neighbours; remapped: others by a rule (resizing); "
                    "channels, pointwise: the same row; global: all of them")  # fmt: skip
    return "\n".join([*lines, *listed(model_summaries())])


def _tell(model: Model, rows: Sequence[Row], outputs: Sequence[str], notes: Sequence[str]) -> None:
    console = stdout()
    console.print(f"{model.name}: {model.summary}", highlight=False)
    for line in notes:
        console.print(f"  {line}", highlight=False)
    if outputs:
        console.print(f"  outputs: {', '.join(outputs)}", highlight=False)
    best = set(cuts_worth_a_look(model, rows))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("step", "rows", "output", "MACs", "parameters", "done", "bytes at a cut", ""):
        table.add_column(title, justify="left" if title in ("step", "rows", "") else "right")
    for i, row in enumerate(rows):
        beside = f"+ {', '.join(row.crossing)}" if row.crossing else ""
        table.add_row(
            row.name, row.rows, "x".join(map(str, row.shape)), prefixed(row.macs).strip(), prefixed(row.params).strip(),
            f"{row.done:.1%}", f"{prefixed(row.cut_bytes).strip()}B",
            " ".join(filter(None, ("◂" * (i in best), beside))),
        )  # fmt: skip
    print_table(console, table)
    if best:
        names = ", ".join(rows[i].name for i in sorted(best))
        console.print(
            f"◂ a cut there sends less than any before it, and than the image in float32: behind {names}",
            highlight=False,
        )


if __name__ == "__main__":
    sys.exit(main())
