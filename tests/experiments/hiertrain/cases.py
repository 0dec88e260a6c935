"""HierTrain as data: what it can do, and what it cannot, with the one line that says so."""

from __future__ import annotations

from pathlib import Path

from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

FORMS = [("vgg16-37.5-c3", {"model": "vgg16", "edge_cloud_mbps": 37.5, "edge_cores": 3})]
FILE = "model: lenet5\nedge_cloud_mbps: 20\nblocks: 4\nbatch: 32\nedge: tx2\n"
EDGES = [
    ("exact", "cost=event"),
    ("exact", "share_links=true"),
    ("exact", "exchange=always relay=store"),
    ("exact", "batch=1"),
    ("exact", "batch=2 share_links=true"),
    ("exact", "optimizer=adam edge_cores=4 tiles=false"),
    ("exact", "optimum=false drift=true"),
    ("exact", "blocks=1 drift=true"),
    ("exact", "edge_cloud_mbps=0.001"),
    ("exact", "edge_cloud_mbps=1e6 device_edge_mbps=1e6"),
    ("jalad", "drift=true share_links=true"),
]
RUN, EVALUATION = "--scenario lenet5-2", "--scenarios lenet5-2 --agents exact,all-edge"

OPTIONS = [
    ("--env-kwargs edge_cloud_mbps=-3", "edge_cloud_mbps is -3, allowed: 0.001..1e6 Mbit/s"),
    ("--env-kwargs edge_cloud_mbps=0", "edge_cloud_mbps is 0, allowed: 0.001..1e6 Mbit/s"),
    ("--env-kwargs device_edge_mbps=0", "device_edge_mbps is 0, allowed: 0.001..1e6 Mbit/s"),
    ("--env-kwargs edge_cloud_mbps=.inf", "the value of edge_cloud_mbps, '.inf', is neither a finite number"),
    ("--env-kwargs batch=0", "batch is 0, allowed: 1.."),
    ("--env-kwargs batch=12.5", "batch is 12.5, allowed: a whole number, 1..2000"),
    ("--env-kwargs blocks=0", "blocks is 0, allowed: 1.."),
    ("--env-kwargs iterations=0", "iterations is 0, allowed: 1.."),
    ("--env-kwargs edge_cores=5", "edge_cores is 5, allowed: 1..4"),
    ("--env-kwargs edge_cores=0", "edge_cores is 0, allowed: 1..4"),
    ("--env-kwargs sample_bytes=-1", "sample_bytes is -1"),
    ("--env-kwargs thread_gain=nan", "thread_gain is 'nan', allowed: a finite number, 0..1e9"),
    ("--env-kwargs relay=pigeon", "relay is 'pigeon', allowed: stream, store"),
    ("--env-kwargs exchange=never", "exchange is 'never', allowed: holders, always"),
    ("--env-kwargs optimizer=lion", "optimizer is 'lion', allowed: sgd, "),
    ("--env-kwargs cost=fun", "cost='fun' is not one of paper, event"),
    ("--env-kwargs optimum=maybe", "optimum='maybe' is not one of True, False"),
    ("--env-kwargs share_links=maybe", "share_links is 'maybe', allowed: true or false"),
    ("--env-kwargs device=nowhere", "unknown device 'nowhere'; known: those of splitgym-train --list devices"),
    ("--env-kwargs edge=nowhere", "unknown edge 'nowhere'; known: those of splitgym-train --list devices"),
    ("--env-kwargs colour=red", "unknown option 'colour'; did you mean cloud? Known: plans, activation_bits, cost, "),
    ("--env-kwargs 'profiles={device: alexnet.csv}'", "alexnet.csv: model is 'alexnet', expected 'lenet5'"),
    ("--env-kwargs 'profiles={edge: short.csv}'", "short.csv: profile has "),
    ("--env-kwargs 'profiles={device: lenet5.csv}'", "batch is 128, but the training profile"),
    ("--env-kwargs 'profiles={device: nowhere.csv}'", "nowhere.csv: cannot be read"),
    ("--env-kwargs 'profiles={phone: lenet5.csv}'", "profiles names 'phone', allowed: device, edge, cloud"),
]
SCENARIOS = [
    ("nowhere", "unknown scenario 'nowhere'; known: those of --list, "),
    ("nowhere", "<model>-<Mbps>[-c<cores>] or <model>-drift"),
    ("nonet-3", "unknown model 'nonet'; did you mean voxelnet"),
    ("alexnet-0", "edge_cloud_mbps is 0.0, allowed: 0.001..1e6 Mbit/s"),
    ("alexnet--5", "edge_cloud_mbps is -5.0"),
    ("alexnet-3-c9", "edge_cores is 9, allowed: 1..4"),
    ("norate.yaml", "norate.yaml: edge_cloud_mbps is 0, allowed: 0.001..1e6"),
    ("nomodel.yaml", "nomodel.yaml: field model is missing"),
    ("nothing.yaml", "nothing.yaml: field edge_cloud_mbps is missing"),
    ("broken.yaml", "broken.yaml: is not YAML"),
]
RUNS = [
    ("--env-kwargs plans=layers", "agent hiertrain needs plans=hybrid, not layers"),
    ("--agent jalad --env-kwargs activation_bits=16", "agent jalad needs activation_bits=8, not 16"),
    ("--agent ppo --env-kwargs activation_bits=7", "activation_bits=7 is not one of 32, 16, 8, 4"),
    ("--agent nobody", "unknown agent 'nobody' for hiertrain; known: hiertrain, exact, all-device"),
    ("--hyperparams hold=maybe", "hold of hiertrain is 'maybe', allowed: true or false"),
    ("--agent all-edge --hyperparams hold=true", "agent all-edge: unknown hyperparameter 'hold'"),
    ("--agent sac --hyperparams gamma=2", "agent sac: gamma is 2, allowed: 0..1"),
    ("--episodes 5", "--episodes: agent hiertrain is not trained beforehand"),
]
EVALUATIONS = [
    ("--scenarios lenet", "groups: alexnet, lenet5, cores, drifting, scaling"),
    ("--agents jalad --env-kwargs activation_bits=4", "jalad needs activation_bits=8, not 4"),
    ("--agents all-edge --hyperparams hold=true", "none of all-edge has a hyperparameter 'hold'"),
]
TYPES = {"device": "pi3", "edge": "i3-7100u", "cloud": "gtx1080ti"}
PLAN = {"schema": 2, "kind": "hybrid", "model": "lenet5", "types": TYPES, "roles": ["edge", "device", "cloud"],
        "m_s": 1, "m_l": 2, "b": [60, 30, 38], "notes": {}}  # fmt: skip
PLANS = [
    ({"b": [60, 30, 37]}, "plan.json: b sums to 127, the batch of lenet5-2 is 128"),
    ({"b": [60, 30]}, "plan.json: b is [60, 30], allowed: 3 numbers of samples"),
    ({"b": [160, -2, -30]}, "plan.json: b is [160, -2, -30], allowed: 3 numbers of samples"),
    ({"b": [60, 30, 38.0]}, "plan.json: b[2] is 38.0, allowed: a whole number"),
    ({"m_s": 3}, "plan.json: m_s is 3, m_l 2, allowed: 0 <= m_s <= m_l <= 7"),
    ({"m_l": 99}, "plan.json: m_s is 1, m_l 99, allowed: 0 <= m_s <= m_l <= 7"),
    ({"m_s": 0}, "plan.json: b gives worker s 30 samples, but m_s is 0; allowed: 0"),
    ({"roles": ["edge", "device"]}, "plan.json: roles has 2 names, allowed: 3"),
    (
        {"roles": ["edge", "phone", "cloud"], "types": {"edge": "i3-7100u", "phone": "pixel6a", "cloud": "gtx1080ti"}},
        "types: phone (pixel6a) is not in scenario lenet5-2, which has device (pi3), edge (i3-7100u)",
    ),
    ({"roles": ["edge", "edge", "cloud"]}, "plan.json: "),
    ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'lenet5'"),
]


def write_files(folder: Path) -> None:
    """Files that are wrong, each in its way."""
    for name in ("alexnet", "lenet5"):
        modelled_profile(get_model(name), "pi3", (16,), "sgd", True).save(folder / f"{name}.csv")
    whole = (folder / "lenet5.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(whole[:-1]) + "\n")
    for name, text in {
        "norate.yaml": "model: vgg16\nedge_cloud_mbps: 0\n",
        "nomodel.yaml": "edge_cloud_mbps: 3\n",
        "nothing.yaml": "model: vgg16\n",
        "broken.yaml": "model: [",
    }.items():
        (folder / name).write_text(text)
