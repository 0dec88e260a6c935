"""TorchRL on an environment: Prune-Deprune's budgets, epoch by epoch, by PPO.

pip install torchrl; python examples/torchrl_ppo.py --steps 100000
"""

import argparse

import gymnasium as gym
import torch
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, RewardSum, TransformedEnv
from torchrl.modules import MLP, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import splitgym.envs

gym.register_envs(splitgym.envs)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="vgg11-cifar10")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1800, help="steps between updates; an episode has 18")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    made = gym.make("splitgym/Deprune-v0", scenario=args.scenario)
    env = TransformedEnv(GymWrapper(made, categorical_action_encoding=True), RewardSum())
    env.set_seed(args.seed)
    inputs, choices = env.observation_spec["observation"].shape[0], env.action_spec.n
    logits = MLP(inputs, choices, num_cells=[64, 64], activation_class=nn.Tanh)
    actor = ProbabilisticTensorDictSequential(
        TensorDictModule(logits, ["observation"], ["logits"]),
        ProbabilisticTensorDictModule(["logits"], ["action"], distribution_class=Categorical, return_log_prob=True),
    )
    critic = ValueOperator(MLP(inputs, 1, num_cells=[64, 64], activation_class=nn.Tanh), ["observation"])
    advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic)
    loss_of = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.001, normalize_advantage=True)
    optimizer = torch.optim.Adam(loss_of.parameters(), lr=1e-3)

    curve = []
    for batch in Collector(env, actor, frames_per_batch=args.batch, total_frames=args.steps):
        with torch.no_grad():
            advantage(batch)
        flat = batch.reshape(-1)
        for _ in range(10):
            for some in torch.randperm(len(flat)).chunk(4):
                losses = loss_of(flat[some])
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_of.parameters(), 0.5)
                optimizer.step()
        ended = batch["next", "done"].squeeze(-1)
        curve.append(batch["next", "episode_reward"][ended].mean().item())
        print(f"{args.batch * len(curve)} steps: mean return of the episodes that ended {curve[-1]:.4f}")
    return curve


if __name__ == "__main__":
    main()
