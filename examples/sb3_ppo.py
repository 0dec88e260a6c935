"""Stable-Baselines3 on many lanes of an environment at once: HierTrain's schedules by PPO.

python examples/sb3_ppo.py --steps 400000
"""

import argparse

import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from splitgym.agents.sb3 import BatchVecEnv
from splitgym.envs import get_family
from splitgym.experiments.play import evaluate


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="lenet5-drift")
    parser.add_argument("--steps", type=int, default=400_000, help="of all lanes together")
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    family = get_family("hiertrain")
    batch = gym.make_vec(family.env_id, num_envs=args.lanes, scenario=args.scenario, autoreset_mode="SameStep")
    lanes = BatchVecEnv(batch, family.headline, paired_regret=family.paired_regret)  # a VecEnv, with the best plan kept
    sizes = {"n_steps": 100, "batch_size": 25 * args.lanes}
    model = PPO("MlpPolicy", VecMonitor(lanes), **sizes, gamma=0.3, seed=args.seed, device="cpu")
    model.learn(args.steps)
    env = gym.make(family.env_id, scenario=args.scenario)
    found = evaluate(model, env, episodes=3, seed=1000)  # SB3's models answer predict() as all agents do
    print(*(f"{name} {value:.4g}" for name, value in found.items()), sep="\n")
    return found


if __name__ == "__main__":
    main()
