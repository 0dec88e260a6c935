"""An ONNX file: how it is read, where it may be cut, and whether splitting it over four boards pays.

python examples/own_network.py --model examples/net.onnx
"""

import argparse
from pathlib import Path

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import make_env, options_for, play
from splitgym.models.own.read import import_model
from splitgym.models.plans import SpatialPlan, save_plan


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(Path(__file__).with_name("net.onnx")))
    parser.add_argument("--scenario", default="DB-50")
    parser.add_argument("--agents", default="offload,aofl,joint")
    parser.add_argument("--out", type=Path, default=Path("plan.json"), help="the best agent's plan")
    args = parser.parse_args(argv)

    read = import_model(args.model)
    print(read.model.summary, *read.notes, sep="\n")
    for boundary, unit in enumerate(read.model.units):
        print(f"in front of {unit.name:12} {read.model.boundary_bytes(boundary, value_bytes=4):8} bytes cross")

    family, played = get_family("distredge"), {}
    for name in args.agents.split(","):
        options = options_for(get_spec(family.name, name), {"model": args.model})
        env = make_env(family, args.scenario, options)
        played[name] = play(make_agent(family.name, name, env), env)
    for name, found in played.items():
        print(f"{name:8} {1e3 * found.metrics['latency_s']:.2f} ms")
    best = min(played.values(), key=lambda found: found.metrics["latency_s"])
    save_plan(SpatialPlan.from_json(best.plan, "plan"), args.out)
    print(f"written to {args.out}; splitgym-run {args.out} --testbed {args.scenario} --model {args.model}")
    return {name: found.metrics["latency_s"] for name, found in played.items()}


if __name__ == "__main__":
    main()
