"""PPO in one file, from top to bottom, on gym.make_vec: Prune-Deprune's budgets, epoch by epoch.

python examples/cleanrl_ppo.py --steps 100000
"""

import argparse

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import splitgym.envs

gym.register_envs(splitgym.envs)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="vgg11-cifar10")
    parser.add_argument("--steps", type=int, default=100_000, help="of all lanes together")
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rollout, epochs, minibatches, gae, clip, entropy = 36, 10, 4, 0.95, 0.2, 0.001

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    shuffle = np.random.default_rng(args.seed)
    envs = gym.make_vec(
        "splitgym/Deprune-v0", num_envs=args.lanes, scenario=args.scenario, autoreset_mode="SameStep"
    )  # an episode's end is the next one's beginning
    inputs, choices = envs.single_observation_space.shape[0], envs.single_action_space.n
    actor = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, choices))
    critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-5)

    shape = (rollout, args.lanes)
    seen, acted = torch.zeros(*shape, inputs), torch.zeros(shape, dtype=torch.long)
    log_probs, rewards, values, over = (torch.zeros(shape) for _ in range(4))
    observation = torch.as_tensor(envs.reset(seed=args.seed)[0])
    scores, curve = [], []
    for update in range(max(1, args.steps // (rollout * args.lanes))):
        for t in range(rollout):
            with torch.no_grad():
                policy = Categorical(logits=actor(observation))
                action = policy.sample()
                seen[t], acted[t], log_probs[t] = observation, action, policy.log_prob(action)
                values[t] = critic(observation)[:, 0]
            observation, reward, terminated, truncated, info = envs.step(action.numpy())
            observation = torch.as_tensor(observation)
            rewards[t], over[t] = torch.as_tensor(reward), torch.as_tensor(terminated | truncated)
            if terminated.any():
                final = info["final_info"]
                scores += final["score"][final["_score"]].tolist()

        advantages, advantage = torch.zeros(shape), torch.zeros(args.lanes)
        with torch.no_grad():
            following = critic(observation)[:, 0]
        for t in reversed(range(rollout)):
            goes_on = 1.0 - over[t]
            advantage = rewards[t] + following * goes_on - values[t] + gae * goes_on * advantage
            advantages[t], following = advantage, values[t]
        returns = advantages + values

        flat = [x.flatten(0, 1) for x in (seen, acted, log_probs, advantages, returns)]
        for _ in range(epochs):
            for some in np.array_split(shuffle.permutation(rollout * args.lanes), minibatches):
                obs, act, old, adv, target = (x[some] for x in flat)
                policy = Categorical(logits=actor(obs))
                ratio = (policy.log_prob(act) - old).exp()
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
                gain = torch.min(ratio * adv, ratio.clamp(1 - clip, 1 + clip) * adv).mean()
                error = ((critic(obs)[:, 0] - target) ** 2).mean()
                loss = 0.5 * error - gain - entropy * policy.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()
        curve.append(float(np.mean(scores[-200:])))
        print(f"update {update}: score of the newest episodes {curve[-1]:.4f}")
    envs.close()
    return curve


if __name__ == "__main__":
    main()
