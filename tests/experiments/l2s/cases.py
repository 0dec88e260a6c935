"""L2S as data: what it can do, and what it cannot, with the one line that says so."""

from __future__ import annotations

from pathlib import Path

from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

FORMS = [
    ("alexnet-rtx2080ti-37.5-p3", {"model": "alexnet_2012", "edge": "rtx2080ti", "mbps": 37.5, "privacy_point": 3})
]
FILE = "model: vgg16\nedge: cpu\nmbps: 33.5\nrounds: 30\nprivacy_point: 2\n"
EDGES = [
    ("l2s", "rounds=1"),
    ("d-linucb", "rounds=2"),
    ("l2s", "rounds=30 privacy_point=17"),  # P is the only point
    ("l2s-probe", "rounds=30 privacy_point=16"),
    ("neurosurgeon", "rounds=30 privacy_point=0"),
    ("linucb", "rounds=30 sync=change"),
    ("linucb-e", "rounds=30 reward=total"),
    ("l2s-fws", "rounds=30 mbps_changes=[[5,10],[20,90]] load_changes=[[10,3]]"),
    ("oracle", "rounds=30 dynamic=true noise=0"),
]
RUN, EVALUATION = "--agent linucb", "--agents linucb,pdt"

OPTIONS = [
    ("--env-kwargs privacy_point=18", "privacy_point is 18, allowed: 0..17, the partition points of resnet34"),
    ("--env-kwargs privacy_point=-1", "privacy_point is -1, allowed: null or a whole number, 0 or more"),
    ("--env-kwargs privacy_point=2.5", "privacy_point is 2.5, allowed: null or a whole number, 0 or more"),
    ("--env-kwargs mbps=0", "mbps is 0, allowed: 0.001..1e6 Mbit/s"),
    ("--env-kwargs mbps=-3", "mbps is -3, allowed: 0.001..1e6 Mbit/s"),
    ("--env-kwargs mbps=.inf", "the value of mbps, '.inf', is neither a finite number"),
    ("--env-kwargs mbps_changes=[[5,0]]", "mbps_changes[0][1] is 0, allowed: 1e-6..1e6"),
    ("--env-kwargs mbps_changes=[[500,5]]", "mbps_changes has round 500, allowed: below rounds, which is 500"),
    ("--env-kwargs load_changes=[[5,2],[900,3]]", "load_changes has round 900, allowed: below rounds, which is"),
    ("--env-kwargs edge=nowhere", "unknown edge 'nowhere'; known: those of splitgym-train --list devices, gpu, cpu"),
    ("--env-kwargs device=nowhere", "unknown device 'nowhere'; known: those of splitgym-train --list devices"),
    ("--env-kwargs rounds=0", "rounds is 0, allowed: 1..1000000"),
    ("--env-kwargs sync=never", "sync='never' is not one of period, change, ask"),
    ("--env-kwargs reward=fun", "reward='fun' is not one of delay, total"),
    ("--env-kwargs colour=red", "unknown option 'colour'; known: reward, sync, record, backend, "),
    ("--env-kwargs 'profiles={device: alexnet.csv}'", "alexnet.csv: model is 'alexnet', expected 'resnet34'"),
    ("--env-kwargs 'profiles={edge: short.csv}'", "short.csv: profile has 19 steps, the model resnet34 has 20"),
    ("--env-kwargs 'profiles={device: resnet34.csv}' batch=8", "batch is 8, but the training profile"),
    ("--env-kwargs 'profiles={device: nowhere.csv}'", "nowhere.csv: cannot be read"),
    ("--trace nowhere.txt", "nowhere.txt: cannot be read"),
    ("--trace trace.txt", "trace.txt: line 1: cannot read '0 fast'"),
    ("--trace trace.txt trace.txt", "there is one link; name one"),
]
SCENARIOS = [
    ("nowhere", "unknown scenario 'nowhere'; known: those of --list, "),
    ("nowhere", "<model>-<edge>-<Mbps>[-p<P^c>]"),
    ("nonet-gpu-60", "unknown model 'nonet'; did you mean voxelnet"),
    ("resnet34-tpu-60", "unknown edge 'tpu'; did you mean gpu, cpu? "),
    ("resnet34-gpu-0", "mbps is 0.0, allowed: 0.001..1e6 Mbit/s"),
    ("resnet34-gpu--5", "mbps is -5.0, allowed: 0.001..1e6"),
    ("resnet34-gpu-60-p99", "privacy_point is 99, allowed: 0..17"),
    ("resnet34-gpu-60-p-1", "privacy_point is -1, allowed: null or a whole number, 0 or more"),
    ("norate.yaml", "norate.yaml: mbps is 0, allowed: 0.001..1e6"),
    ("nomodel.yaml", "nomodel.yaml: field model is missing"),
    ("private.yaml", "privacy_point is 22, allowed: 0..21, the partition points of vgg16"),
    ("broken.yaml", "broken.yaml: is not YAML"),
]
RUNS = [
    ("--agent sac", "unknown agent 'sac' for l2s"),
    ("--agent nobody", "unknown agent 'nobody' for l2s; known: those of --list"),
    ("--hyperparams alpha=-1", "agent l2s: alpha is -1, allowed: 0..1e6"),
    ("--agent lints --hyperparams ridge=1e-15", "agent lints: ridge is 1e-15, allowed: 1e-6..1e6"),
    ("--agent d-linucb --hyperparams ridge=0", "agent d-linucb: ridge is 0, allowed: 1e-6..1e6"),
    ("--hyperparams alpha=wide", "alpha of l2s is 'wide', allowed: a number"),
    ("--agent linucb --hyperparams mu=0.3", "agent linucb: unknown hyperparameter 'mu'"),
    ("--agent linucb-e --hyperparams mu=1", "agent linucb-e: mu is 1, allowed: a finite number above 0, below 1"),
    ("--agent d-linucb --hyperparams discount=0", "d-linucb: discount is 0, allowed: a finite number above 0"),
    ("--agent fpt --hyperparams alpha=1", "agent fpt: unknown hyperparameter 'alpha'"),
    ("--agent linucb --episodes 5", "--episodes: agent linucb is not trained beforehand"),
    ("--env-kwargs sync=change", "agent l2s needs sync=ask, not change"),
    ("--agent ppt --env-kwargs privacy_point=4", "agent ppt needs privacy_point=1, not 4"),
]
EVALUATIONS = [
    ("--scenarios constnt", "groups: constant, sweep-gpu, sweep-cpu, privacy, changing"),
    (
        "--agents linucb,pdt --hyperparams alpha=-1",
        "agent linucb: alpha is -1, allowed: 0..1e6",
    ),
    ("--agents linucb,pdt --hyperparams mu=0.3", "none of linucb, pdt has a hyperparameter 'mu'"),
    ("--agents ppt --env-kwargs privacy_point=2", "agent ppt needs privacy_point=1, not 2"),
]
PLAN = {"schema": 2, "kind": "cut", "model": "resnet34",
        "types": {"device": "tx2-pytorch-measured", "edge": "gtx1080ti"}, "cut": 6, "notes": {}}  # fmt: skip
PLANS = [
    ({"cut": 3}, "plan.json: cut is 3, feasible in resnet34-gpu-60 are 6, 7, "),
    ({"cut": 21}, "plan.json: cut is 21, allowed: 0..20, the steps of resnet34"),
]


def write_files(folder: Path) -> None:
    """Files that are wrong, each in its way."""
    for name in ("alexnet", "resnet34"):
        modelled_profile(get_model(name), "tx2-pytorch", (16,), "sgd", True).save(folder / f"{name}.csv")
    whole = (folder / "resnet34.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(whole[:-1]) + "\n")
    for name, text in {
        "norate.yaml": "model: vgg16\nedge: gpu\nmbps: 0\n",
        "nomodel.yaml": "edge: gpu\nmbps: 60\n",
        "private.yaml": "model: vgg16\nedge: gpu\nmbps: 60\nprivacy_point: 22\n",
        "broken.yaml": "model: [",
        "trace.txt": "0 fast\n",
    }.items():
        (folder / name).write_text(text)
