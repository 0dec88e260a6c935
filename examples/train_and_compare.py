"""Train an agent, then let it and everything that its paper compares against play the same episodes.

python examples/train_and_compare.py --env l2s --scenario resnet34-gpu-60 --agent ppo
"""

import argparse

from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import evaluate, make_env, options_for


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="l2s")
    parser.add_argument("--scenario", default="resnet34-gpu-60")
    parser.add_argument("--agent", default="ppo")
    parser.add_argument("--train-episodes", type=int, help="by default the agent's own number")
    parser.add_argument("--episodes", type=int, default=5, help="that every agent plays")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    family = get_family(args.env)
    found = {}
    for name, spec in agents_of(family.name).items():
        if name != args.agent and not (spec.baseline or spec.reference):
            continue
        env = make_env(family, args.scenario, options_for(spec, {}))
        agent = make_agent(family.name, name, env, args.seed)
        if spec.learns:
            agent.learn(args.train_episodes, None, tell)
        found[name] = evaluate(agent, env, args.episodes, args.seed)[family.headline]
        env.close()
    for name in sorted(found, key=found.get, reverse=not family.lower_is_better):
        print(f"{name:20} {family.headline} {found[name]:.4g}")
    return found


def tell(report):
    """Called while an agent learns, with how it stands."""
    print(f"episode {report.episodes}, {100 * report.share:.0f} % done, newest episodes {report.recent:.4g}")


if __name__ == "__main__":
    main()
