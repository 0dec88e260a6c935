"""``splitgym-profile``: measure latency tables and training profiles, import others'."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.lookup import get_model, model_summaries
from ...models.own.names import is_own
from ...models.own.option import add_model_options, model_of
from ...ui.console import Parser, add_list, entry, listed, note, stdout, whole, wrapped
from ...ui.errors import InputError
from ...ui.programs import program
from ..devices import device_summaries
from ..training import OPTIMIZER_BYTES

if TYPE_CHECKING:
    from ...models.runnable.units import TorchModel
    from .journal import Journal

PROG = "splitgym-profile"
BATCHES = (1, 8, 16, 32)
_LISTINGS = {"devices": lambda: listed(device_summaries()), "models": lambda: listed(model_summaries())}


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    imports = any(word == "--from" or word.startswith("--from=") for word in words)
    return (_import if imports else _measure)(words)


def _import(words: Sequence[str]) -> int:
    from ...models.own.read import outline
    from ..formats import read as importers

    parser = Parser(PROG, "Turn profiles of other tools into latency tables and training profiles.", lambda: _FROM_HELP)
    add_list(parser, _LISTINGS)
    add_model_options(parser.add_argument_group("network"))
    importers.add_options(parser)
    parser.add_argument("--training", action="store_true", help="the files profile training")
    for name in ("precision", "software"):
        parser.add_argument(f"--{name}", metavar="TEXT", help="where the files do not say")
    parser.add_argument("--device", metavar="NAME", help="name in tables, where the files do not say")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file to write (profiles/<model>-imported.csv)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    args = parser.parse_args(words)
    name = _network(args)
    model = get_model(name)
    args.out = args.out or _default_out(model.name, "imported", args.training)
    _check_out(args.out, args.overwrite)
    return importers.command(args, model, outline(name).nodes if is_own(name) else None)


def _measure(words: Sequence[str]) -> int:
    args = _parser().parse_args(words)
    _check_options(args)
    name = _network(args)  # is known before torch is there
    from ...models.lookup import runnable
    from .measuring import OutOfMemory
    from .torch_profiler import memory_errors

    try:
        with memory_errors():
            torch_model = runnable(name)
        return (_measure_training if args.training else _measure_kernels)(args, torch_model, words)
    except OutOfMemory as error:
        raise InputError(f"{args.model}: its weights do not fit into memory ({error})") from None


def _measure_kernels(args: argparse.Namespace, torch_model: TorchModel, words: Sequence[str]) -> int:
    from .measuring import COLUMNS, Effort, journal_header, measure_table
    from .pictures import table_figure
    from .report import print_kernels

    model, backend = torch_model.model, _backend(args, torch_model)
    out = args.out or _default_out(model.name, f"{backend.device}-{backend.name}", False)
    effort = Effort(args.repeats, args.warmup, backend.passes)
    header = journal_header(model, backend, effort)
    beside = {"extras": backend.extras, "whole": backend.prepare_whole} if backend.name == "torch" else {}

    def measured(journal: Journal, progress: Callable[[float, str], None]) -> Any:
        return measure_table(model, backend, effort, journal, progress, args.every or 1, **beside)

    found = _journaled(out, args, words, header, COLUMNS, measured)
    _write(out, found.table, table_figure(model, found))
    print_kernels(found)
    return _tell(out, f"in a scenario of distredge, for a type of device: tables: {{TYPE: {out}}}")


def _measure_training(args: argparse.Namespace, torch_model: TorchModel, words: Sequence[str]) -> int:
    from .measuring import Effort, journal_header
    from .pictures import training_figure
    from .report import print_steps
    from .training_profiler import COLUMNS, TorchTrainer, measure_profile

    trainer = TorchTrainer(torch_model, args.optimizer or "sgd", args.threads or 1, args.device, args.on or "cpu")
    out = args.out or _default_out(trainer.model.name, f"{trainer.device}-{trainer.name}", True)
    effort, batches = Effort(args.repeats, args.warmup, trainer.passes), args.batches or BATCHES
    header = journal_header(trainer.model, trainer, effort, optimizer=trainer.optimizer)

    def measured(journal: Journal, progress: Callable[[float, str], None]) -> Any:
        return measure_profile(trainer, batches, effort, journal, progress)

    found = _journaled(out, args, words, header, COLUMNS, measured)
    _write(out, found.profile, training_figure(found.profile))
    print_steps(found)
    covers = f"batches of {min(batches)} to {max(batches)}"
    use = f"profiles: {{device: {out}}} in a scenario of l2s or hiertrain, {{pixel6a: {out}}}, say, of edgemove"
    return _tell(out, f"covers {covers}; {use}")


def _journaled(
    out: Path,
    args: argparse.Namespace,
    words: Sequence[str],
    header: dict[str, str],
    columns: Sequence[str],
    measured: Callable[[Journal, Callable[[float, str], None]], Any],
) -> Any:
    """Measure under a progress bar with a journal, which stays if that does not come to its end."""
    from ...ui.progress import Bar
    from .journal import Journal

    _check_out(out, args.overwrite)
    path = out.with_suffix(".partial.csv")
    with Journal(path, header, columns, args.fresh) as journal:
        _check_out(out, args.overwrite)  # who held the journal before may have come to an end
        if journal.resumed:
            note(f"{path}: goes on after {journal.resumed} measurements; --fresh begins anew")
        try:
            with ExitStack() as stack:
                bars: list[Bar] = []

                def progress(share: float, text: str) -> None:
                    if not bars:  # begins where the journal ends
                        bars.append(stack.enter_context(Bar("measuring", share)))
                    bars[0].show(share, text)

                return measured(journal, progress)
        except KeyboardInterrupt as stop:
            if not journal.entries:
                raise KeyboardInterrupt from None
            again = shlex.join(word for word in words if word != "--fresh")
            kept = str(stop) or f"interrupted; {len(journal.entries)} measurements are kept in {path}"  # or came twice
            raise KeyboardInterrupt(f"{kept}; go on with: {program(PROG)} {again}") from None


def _write(out: Path, found: Any, figure: Any) -> None:
    """Write table and picture; the journal has nothing more to say."""
    from ...ui.canvas import save_figure

    save_figure(figure, out.with_suffix(".png"))
    found.save(out)
    out.with_suffix(".partial.csv").unlink(missing_ok=True)


def _tell(out: Path, use: str) -> int:
    console = stdout()
    console.print(f"written: {out}, {out.with_suffix('.png')}", soft_wrap=True)
    console.print(use, style="dim", soft_wrap=True)
    return 0


def _backend(args: argparse.Namespace, torch_model: TorchModel) -> Any:
    if args.backend == "tensorrt":
        from ...trt_kernels.weights import torch_weights
        from .tensorrt_profiler import TensorRTBackend

        weights = torch_weights(torch_model)
        precision, timer = args.precision or "FP16", args.timer or "events"
        return TensorRTBackend(torch_model.model, weights, precision, device=args.device, timer=timer)
    from .torch_profiler import TorchBackend

    return TorchBackend(torch_model, args.threads or 1, args.device, args.on or "cpu")


def _network(args: argparse.Namespace) -> str:
    name = model_of(args)
    if name is None:
        raise InputError(f"--model is missing: which network? (see {PROG} --help)")
    return name


def _default_out(model: str, about: str, training: bool) -> Path:
    stem = re.sub(r"[^\w.+-]+", "_", f"{model}-{about}")
    return Path("profiles") / f"{stem}{'-training' if training else ''}.csv"


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix != ".csv":
        raise InputError(f"--out {out}: allowed: a file that ends in .csv")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder, allowed: a file that ends in .csv")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: is there already; --overwrite replaces it, --out names another file")


def _check_options(args: argparse.Namespace) -> None:
    """Options that belong to another way of measuring are mistakes, not noise."""
    if args.training and args.backend == "tensorrt":
        raise InputError("--training measures with torch, TensorRT runs no training; leave out --backend")
    kind, others = ("--training", ("every",)) if args.training else ("a latency table", ("batches", "optimizer"))
    for name in others:
        if getattr(args, name) is not None:
            raise InputError(f"--{name} is not for {kind}")
    for name in ("threads", "on") if args.backend == "tensorrt" else ("precision", "timer"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name} is not for --backend {args.backend}")


def _parser() -> Parser:
    parser = Parser(
        PROG,
        "Measure how long every kernel of a network takes on this machine, for every number of output rows.",
        _help,
    )
    add_list(parser, _LISTINGS)
    group = parser.add_argument_group("network")
    add_model_options(group)
    group = parser.add_argument_group("training instead of inference")
    group.add_argument("--training", action="store_true", help="forward, backward and update of every step")
    text = ",".join(map(str, BATCHES))
    group.add_argument(
        "--batches",
        metavar="N,...",
        type=_batches,
        help=f"batch sizes, linear between ({text}); scenarios take 16 (l2s), 32 (edgemove), up to 128 (hiertrain)",
    )
    group.add_argument("--optimizer", choices=OPTIMIZER_BYTES, help="what updates the weights (sgd)")
    group = parser.add_argument_group("measuring")
    group.add_argument("--backend", choices=("torch", "tensorrt"), default="torch", help="what runs kernels (torch)")
    group.add_argument("--threads", metavar="N", type=whole, help="torch: of the CPU (1)")
    group.add_argument("--on", choices=("cpu", "cuda"), help="torch: where it runs (cpu)")
    group.add_argument("--precision", choices=("FP16", "FP32"), help="tensorrt: (FP16)")
    group.add_argument(
        "--timer", choices=("events", "profiler"), help="tensorrt: CUDA events or TensorRT's own profiler (events)"
    )
    group.add_argument("--repeats", metavar="N", type=whole, default=20, help="runs of everything that is timed (20)")
    group.add_argument("--warmup", metavar="N", type=whole, default=3, help="runs that are not, before them (3)")
    group.add_argument("--every", metavar="K", type=whole, help="every K rows, linear between (1: all)")
    group = parser.add_argument_group("result")
    group.add_argument("--device", metavar="NAME", type=_one_line, help="name in tables (of the board, CPU or GPU)")
    group.add_argument(
        "--out", metavar="FILE", type=Path, help="the table (profiles/<model>-<device>-<backend>.csv); a .png beside it"
    )
    group.add_argument("--overwrite", action="store_true", help="replace a table that is there")
    group.add_argument("--fresh", action="store_true", help="do not go on with a measurement that was stopped")
    return parser


def _batches(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: different whole numbers of at least 1 such as 1,8,32")
    return tuple(sorted(map(int, words)))


def _one_line(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a name in one line")
    return text


_FROM_HELP = f"""examples:
  {PROG} --model vgg16 --from profile.json --device nano --precision FP16 --software "TensorRT 8.2" --shape-from nano
  {PROG} --model net.onnx --from 224=full.json 112=half.json --device my-board --precision INT8 --software X
  {PROG} --model vgg16 --training --from graph.txt --device my-gpu --precision FP32 --software PipeDream"""


def _help() -> str:
    lines = [
        "what it is for:",
        *wrapped(
            "  ",
            "A latency table takes the place of modelled latencies, a training profile (--training) that of modelled "
            "training times. Both are CSV files that say where their numbers come from. In a scenario file:",
        ),
        "    {model: vgg16, devices: [nano, nano], mbps: [50, 50], tables: {nano: T.csv}}       # --env distredge",
        "    {model: vgg16, edge: gpu, mbps: 60, profiles: {device: P.csv}}                     # --env l2s; or edge",
        "    {model: vgg16, edge_cloud_mbps: 3, profiles: {device: P.csv}}       # --env hiertrain; or edge, cloud",
        "    {model: vgg16_32, cycle: 500, on_device_s: 900, profiles: {pixel6a: P.csv}}        # --env edgemove",
        "",
        "how it measures:",
        *wrapped(
            "  ",
            "Every kernel at every number of rows is visited in several passes, warmed up, and timed; the table holds "
            "medians. Ctrl-C keeps what is measured in a file beside the table (.partial.csv), and the same command "
            "goes on. Nothing else should run meanwhile. The spread in the printed tables is the width of the middle "
            "half of the runs over the median. TensorRT's engines stay below ~/.cache/splitgym (1 GB for VGG-16).",
        ),
        "",
        "other ways to a file:",
        *listed(
            {
                f"{PROG} --from FILE --help": "profiles of trtexec, PipeDream, plain CSV",
                "splitgym-cluster profile --help": "kernels and links of several machines, from one",
            }
        ),
        "",
        "examples:",
        f"  {PROG} --model vgg16 --every 8",
        f"  {PROG} --model resnet50 --device pi4 --threads 4 --out pi4.csv",
        f"  {PROG} --model net.onnx --input 3x224x224 --on cuda",
        f"  {PROG} --model resnet34 --training --batches 1,8,32 --optimizer momentum",
        f"  {PROG} --model vgg16 --backend tensorrt --precision FP16 --device orin-nano",
    ]
    return "\n".join(lines).replace("%", "%%")
