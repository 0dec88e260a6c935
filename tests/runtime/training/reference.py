"""Plain loops in one process that say what a training over members must end in, written apart from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.models.chain import MAIN
from splitgym.models.model import Model
from splitgym.models.runnable.compression import Halves, split_model
from splitgym.models.runnable.units import TorchModel, build
from splitgym.runtime.training.budget import prune_gradient, reset_filter, scaled_delta, selected_lr
from splitgym.runtime.training.data import Dataset
from splitgym.runtime.training.settings import Settings

RATE, MOMENTUM, DECAY, BATCH = 0.05, 0.9, 5e-4, 12


def batch_of(data: Dataset, number: int, seed: int = 0, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """The images of a step, scaled, and its labels: shuffled passes over all images, a short last batch."""
    count = len(data.train_labels)
    epoch, at = divmod(number, -(-count // batch))
    word = int(np.random.SeedSequence((seed, 0, epoch)).generate_state(1, np.uint64)[0])
    part = torch.randperm(count, generator=torch.Generator().manual_seed(word))[at * batch : (at + 1) * batch]
    values = data.train_images.transpose(0, 1).flatten(1).double() / 255.0
    mean = values.mean(1).float()[:, None, None]
    deviation = values.std(1, correction=0).clamp(min=1e-3).float()[:, None, None]
    return (data.train_images[part].float() / 255.0 - mean) / deviation, data.train_labels[part]


def network(model: Model, seed: int = 0) -> TorchModel:
    built = build(model, seed)
    for part in built.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
    return built.train()


def sgd(net: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), RATE, MOMENTUM, weight_decay=DECAY)


def loss_of(tensors: dict[str, Tensor], labels: Tensor) -> Tensor:
    return F.cross_entropy(tensors[MAIN].flatten(1), labels)


def plain(model: Model, data: Dataset, steps: int) -> tuple[TorchModel, torch.optim.SGD, list[float]]:
    """Stochastic gradient descent."""
    net = network(model)
    optimizer, losses = sgd(net), []
    for number in range(steps):
        images, labels = batch_of(data, number)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images)[0].flatten(1), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return net, optimizer, losses


def remembered(net: TorchModel, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, statistics and momentum of a network."""
    state = dict(net.state_dict())
    for name, parameter in net.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                state[f"{name}@{key}"] = value
    return state


class BothCopies:
    """One process that holds the device's and the edge's copy of every layer (L2S).

    In a round at cut p the device's first p steps and the edge's others are one network. Every ``period`` rounds the
    copies of the steps between the lowest and the highest cut since the last time are made alike: the one that was
    trained more often since they were alike stays, of two equal ones its holder's.
    """

    def __init__(self, model: Model, data: Dataset, period: int) -> None:
        self.data, self.period = data, period
        self.nets = network(model), network(model)
        self.optimizers = tuple(sgd(net) for net in self.nets)
        self.trained = np.zeros((2, len(model.steps)), dtype=int)
        self.visited: list[int] = []  # cuts since the last sync, the one before first
        self.rounds = 0

    def round(self, cut: int) -> float:
        device, edge = self.nets
        images, labels = batch_of(self.data, self.rounds)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        front, _ = device[:cut]({MAIN: images})
        back, _ = edge[cut:](front)
        loss = loss_of(back, labels)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.rounds += 1
        self.visited.append(cut)
        self.trained[0, :cut] += 1
        self.trained[1, cut:] += 1
        if self.rounds % self.period == 0:
            self.sync()
        return float(loss.detach())

    def sync(self) -> None:
        if not self.visited:
            return
        low, high, cut = min(self.visited), max(self.visited), self.visited[-1]
        for step in range(low, high):
            device, edge = self.trained[:, step]
            giver = 0 if device > edge or (device == edge and step < cut) else 1
            self.copy(giver, step)
            self.trained[:, step] = 0
        self.visited = [cut]

    def copy(self, giver: int, step: int) -> None:
        mine, theirs = self.nets[giver].steps[step], self.nets[1 - giver].steps[step]
        theirs.load_state_dict(mine.state_dict())
        for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            momentum = self.optimizers[giver].state.get(own, {}).get("momentum_buffer")
            self.optimizers[1 - giver].state[other] = {} if momentum is None else {"momentum_buffer": momentum.clone()}


def pipelined(
    model: Model, data: Dataset, segments: Sequence[tuple[int, int]], in_flight: int
) -> tuple[TorchModel, torch.optim.SGD]:
    """Minibatches one after another, on the weight versions that a pipeline has (EdgeMove).

    Args:
        segments: (cut, minibatches) between two drains.
        in_flight: K: a minibatch runs on the client's weights as they are after all but the last K - 1 before it, of
            those since the last drain, and on the server's as they are.
    """
    net = network(model)
    optimizer, number = sgd(net), 0
    for cut, count in segments:
        front = [name for name, _ in net.named_parameters() if int(name.split(".")[1]) < cut]
        versions: list[dict[str, Tensor]] = []  # of the front, after every update of the segment
        for i in range(count):
            weights = {name: value.detach().clone() for name, value in net.named_parameters() if name in front}
            versions.append(weights)
            old = versions[max(0, i - (in_flight - 1))] if cut < len(net) else weights
            leaves = {name: value.clone().requires_grad_() for name, value in old.items()}
            images, labels = batch_of(data, number)
            optimizer.zero_grad()
            output, _ = torch.func.functional_call(net, leaves, (images,))
            F.cross_entropy(output.flatten(1), labels).backward()
            for name, parameter in net.named_parameters():
                if name in leaves:
                    parameter.grad = leaves[name].grad
            optimizer.step()
            number += 1
    return net, optimizer


def hybrid(
    model: Model, data: Dataset, steps: int, m_s: int, m_l: int, b: tuple[int, int, int]
) -> tuple[TorchModel, torch.optim.SGD]:
    """The concatenations of o, s and l in one process (HierTrain); gradients by worker, summed in that order."""
    net, replicas = network(model), [network(model) for _ in b]
    optimizer = sgd(net)
    for number in range(steps):
        images, labels = batch_of(data, number, batch=sum(b))
        for replica in replicas:
            replica.load_state_dict(net.state_dict())
            replica.zero_grad()
        o, s, l = replicas  # noqa: E741
        parts = images.split(b)
        current = {MAIN: parts[0]} if b[0] else None
        at = 0
        for replica, part, m in ((s, parts[1], m_s), (l, parts[2], m_l)):
            if not len(part):
                continue
            joined, _ = replica[:m]({MAIN: part})
            if current is not None:
                mine, _ = o[at:m](current)
                joined = {name: torch.cat([mine[name], joined[name]]) for name in mine}
            current, at = joined, m
        assert current is not None
        output, _ = o[at:](current)
        order = torch.cat([labels.split(b)[i] for i in range(3)])
        loss_of(output, order).backward()
        for name, parameter in net.named_parameters():
            gradient = None
            for replica in replicas:
                value = dict(replica.named_parameters())[name].grad
                if value is not None:
                    gradient = value if gradient is None else gradient + value
            parameter.grad = gradient
        optimizer.step()
        first = 0 if b[0] else (m_s if b[1] else m_l)
        for name, value in net.named_buffers():
            step = int(name.split(".")[1])
            source = o if step >= first else (s if b[1] and step < m_s else l)
            value.copy_(dict(source.named_buffers())[name])
    return net, optimizer


@dataclass
class Compressed:
    """The loop of split training with a compressing cut, written out (Deprune, Algorithms 1-3).

    Attributes:
        halves: client and server.
        epochs: (mean loss, share that is right, bytes by kind) of every epoch.
    """

    halves: Halves
    epochs: list[tuple[float, float, dict[str, int]]]


def compressed(model: Model, data: Dataset, settings: Settings, budgets: Sequence[int]) -> Compressed:
    """Split training with both halves at hand, a budget an epoch."""
    s, interface = settings, settings.interface(model)
    client, server = halves = split_model(model, interface, s.seed, mask=s.mask)
    optimizers = []
    for half in halves:
        named = list(half.named_parameters())
        others = [value for name, value in named if name != "compressor.logits"]
        logits = [value for name, value in named if name == "compressor.logits"]
        groups = [{"params": others}, *([{"params": logits, "weight_decay": 0.0}] if logits else [])]
        if named:
            optimizers.append(torch.optim.SGD(groups, s.learning_rate, s.momentum, weight_decay=s.weight_decay))
    found, steps = Compressed(halves, []), -(-len(data.train_labels) // s.batch)
    for epoch, budget in enumerate(budgets):
        rate = selected_lr(s.learning_rate * s.decay**epoch, budgets[: epoch + 1], s.gamma, s.boosted_epochs)
        if epoch and budget < budgets[epoch - 1] and client.compressor is not None:
            word = int(np.random.SeedSequence((s.seed, 2, epoch)).generate_state(1, np.uint64)[0])
            reset_filter(client.compressor.logits, torch.Generator().manual_seed(word))
        client.budget = budget
        loss, right, sent = 0.0, 0, Counter[str]()
        for step in range(epoch * steps, (epoch + 1) * steps):
            images, labels = batch_of(data, step, s.seed, s.batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
                for group in optimizer.param_groups:
                    group["lr"] = rate
            message = client(images, labels)
            reply, mean, output = server.step(message, reply=client.trains)
            pull = None
            if client.compressor is not None:
                delta = scaled_delta(s.delta, interface.phi)
                pull = s.epsilon * prune_gradient(client.compressor.logits, budget, delta, s.lam)
            client.backward(reply, pull)
            for optimizer in optimizers:
                optimizer.step()
            sent.update({**message.sent_bytes, **reply.sent_bytes})
            loss, right = loss + float(mean) * len(labels), right + int((output.argmax(1) == labels).sum())
        count = len(data.train_labels)
        found.epochs.append((loss / count, right / count, dict(sent)))
    return found
