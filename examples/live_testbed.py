"""A plan on processes of this machine that stand for boards; what was predicted beside what was measured.

python examples/live_testbed.py --scenario DB-50 --images 20
"""

import argparse
import json
import tempfile
from pathlib import Path

from splitgym.experiments.live.run_command import main as run


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="DB-50")
    parser.add_argument("--model", default=str(Path(__file__).with_name("net.onnx")))
    parser.add_argument("--plan", default="aofl", help="a planner, or a plan.json")
    parser.add_argument("--images", type=int, default=20)
    args = parser.parse_args(argv)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["--testbed", args.scenario, "--model", args.model, "--images", str(args.images)]
        code = run([args.plan, *words, "--check", "--out", str(out)])  # workers end with it
        told = json.loads((out / "run.json").read_text(encoding="utf-8")) if code == 0 else {}
    print(*told, sep=", ")
    return told


if __name__ == "__main__":
    main()
