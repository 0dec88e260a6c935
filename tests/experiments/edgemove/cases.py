"""EdgeMove as data: what it can do, and what it cannot, with the one line that says so."""

from __future__ import annotations

from pathlib import Path

from splitgym.models.lookup import get_model
from splitgym.profiling.training import modelled_profile

FIELDS = "model: vgg16_32\ncycle: 200\non_device_s: 300\n"
FORMS = [
    ("resnet50-speech-x2.5-300mbps", {"model": "resnet50_speech_pool", "near_mbps": 300.0, "speed_mps": 2.5 * 1.4}),
    ("resnet50-speech-city", {"model": "resnet50_speech", "near_mbps": 600.0, "inputs": "devices"}),
]
FILE = "model: vgg16_32\ncycle: 150\non_device_s: 100\n"
EDGES = [
    (agent, options)
    for agent in ("edgemove", "oracle")
    for options in (
        "half_duplex=true",
        "in_flight=1",
        "in_flight=8 tiles=false",
        "probe=blocking",
        "n_sites=1 coverage_m=[1,2]",
        "near_mbps=1",
        "near_mbps=1e6",
        "speed_mps=1e4",
        "speed_mps=1e-6",
        "noise=0 probe_noise=0 load_drift=0",
        "inputs=devices",
        "gpus=[v100]",
        "edge_rtt_s=[0.01,0.01] optimizer=adam",
    )
]
RUN, EVALUATION = "", "--agents edgemove"

OPTIONS = [
    ("--env-kwargs speed_mps=0", "scenario vgg16-cifar10: speed_mps is 0, allowed: 1e-9..1e12"),
    ("--env-kwargs speed_mps=-1.4", "speed_mps is -1.4, allowed: 1e-9..1e12"),
    ("--env-kwargs speed_mps=.inf", "the value of speed_mps, '.inf', is neither a finite number"),
    ("--env-kwargs cycle=0", "scenario vgg16-cifar10: cycle is 0, allowed: 1..1000000"),
    ("--env-kwargs cycle=-5", "cycle is -5, allowed: 1..1000000"),
    ("--env-kwargs cycle=1.5", "cycle is 1.5, allowed: a whole number, 1..1000000"),
    ("--env-kwargs on_device_s=0", "on_device_s is 0, allowed: 1e-9..1e12"),
    ("--env-kwargs batch=0", "batch is 0, allowed: 1.."),
    ("--env-kwargs near_mbps=0", "near_mbps is 0, allowed: 0.001..1e6"),
    ("--env-kwargs cloud_mbps=-3", "cloud_mbps is -3, allowed: 0.001..1e6"),
    (
        "--env-kwargs edge_rtt_s=[0.04,0.005]",
        "edge_rtt_s is 0.04, 0.005, allowed: two numbers above 0, the lower first",
    ),
    ("--env-kwargs edge_rtt_s=5", "edge_rtt_s is 5, allowed: a list of (finite number, finite number)"),
    ("--env-kwargs coverage_m=[0,300]", "coverage_m[0] is 0, allowed: a finite number above 0"),
    ("--env-kwargs n_sites=0", "n_sites is 0, allowed: 1..10000"),
    ("--env-kwargs n_sites=30000", "n_sites is 30000, allowed: 1..10000"),
    ("--env-kwargs in_flight=0", "in_flight is 0, allowed: 1..64"),
    ("--env-kwargs noise=0.5", "noise is 0.5, allowed: 0..0.2"),
    ("--env-kwargs burst_factor=0.5", "burst_factor is 0.5, allowed: "),
    ("--env-kwargs city_seed=-1", "city_seed is -1, allowed: 0..4294967296"),
    ("--env-kwargs inputs=own", "inputs is 'own', allowed: paper, devices"),
    ("--env-kwargs walks=never", "walks is 'never', allowed: test, train"),
    ("--env-kwargs optimizer=lion", "optimizer is 'lion', allowed: sgd, "),
    ("--env-kwargs gpus=[]", "gpus is empty, allowed: one or more of "),
    ("--env-kwargs gpus=[nowhere]", "unknown device 'nowhere'; known: those of splitgym-train --list devices"),
    ("--env-kwargs client=nowhere", "unknown device 'nowhere'; known: those of splitgym-train --list devices"),
    ("--env-kwargs probe=never", "probe='never' is not one of background, blocking"),
    ("--env-kwargs optimum=maybe", "optimum='maybe' is not one of True, False"),
    ("--env-kwargs half_duplex=maybe", "half_duplex is 'maybe', allowed: true or false"),
    ("--env-kwargs colour=red", "unknown option 'colour'; did you mean cloud? Known: action, probe, "),
    ("--env-kwargs sites=nowhere.csv", "nowhere.csv: cannot be read"),
    (
        "--env-kwargs sites=nocolumn.csv",
        "nocolumn.csv: has no column LATITUDE and no column LONGITUDE; sites have",
    ),
    ("--env-kwargs sites=range.csv", "range.csv: line 3: LATITUDE is '-97.8', allowed: degrees from -90 to 90"),
    ("--env-kwargs sites=west.csv", "west.csv: line 2: LONGITUDE is '244.9', allowed: degrees from -180 to 180"),
    ("--env-kwargs sites=words.csv", "words.csv: line 2: LATITUDE is 'here', allowed: degrees"),
    ("--env-kwargs sites=short.csv", "short.csv: line 2: LONGITUDE is '', allowed: degrees"),
    ("--env-kwargs sites=nothing.csv", "nothing.csv: has no column LATITUDE"),
    ("--env-kwargs sites=header.csv", "header.csv: holds 0 sites, allowed: 1 or more"),
    ("--env-kwargs sites=binary.csv", "binary.csv: is not a text file in UTF-8"),
    ("--env-kwargs trajectory=point.csv", "point.csv: holds 1 points of a trajectory, allowed: 2 or more"),
    (
        "--env-kwargs trajectory=nocolumn.csv",
        "has no column LATITUDE and no column LONGITUDE; points of a trajectory have",
    ),
    ("--env-kwargs 'profiles={pixel6a: other.csv}'", "other.csv: model is 'vgg16', expected 'vgg16_32'"),
    (
        "--env-kwargs 'profiles={phone: other.csv}'",
        "profiles names 'phone', allowed: pixel6a, rtx2080ti, rtx3080ti, v100-pytorch",
    ),
]
SCENARIOS = [
    ("nowhere", "unknown scenario 'nowhere'; known: those of --list, "),
    ("nowhere", "any <task>[-city][-x<speed factor>][-<Mbps>mbps]"),
    ("vgg16-cifar10-x0", "scenario vgg16-cifar10-x0: speed_mps is 0.0, allowed: 1e-9..1e12"),
    ("vgg16-cifar10-x-2", "unknown scenario 'vgg16-cifar10-x-2'"),
    ("vgg16-cifar10-0mbps", "near_mbps is 0.0, allowed: 0.001..1e6"),
    ("vgg16-cifar10-300mbps-x2", "unknown scenario 'vgg16-cifar10-300mbps-x2'"),
    ("noiterations.yaml", "noiterations.yaml: field cycle is missing"),
    ("zero.yaml", "zero.yaml: cycle is 0, allowed: 1..1000000"),
    ("field.yaml", "field.yaml: unknown field 'colour'"),
    ("nosites.yaml", "nowhere.csv: cannot be read"),
    ("point.yaml", "point.csv: holds 1 points of a trajectory, allowed: 2 or more"),
    ("list.yaml", "list.yaml: must hold fields such as model, cycle, on_device_s"),
    ("broken.yaml", "broken.yaml: is not YAML"),
]
RUNS = [
    ("--env-kwargs action=paper", "agent edgemove needs action=absolute, not paper"),
    ("--agent oracle --env-kwargs action=flat", "agent oracle needs action=oracle, not flat"),
    ("--agent ppo --env-kwargs action=fun", "action='fun' is not one of absolute, flat, paper, oracle"),
    ("--hyperparams tie=-1", "agent edgemove: tie is -1, allowed: 0 or more"),
    ("--hyperparams literal=maybe", "literal of edgemove is 'maybe', allowed: true or false"),
    ("--agent lookahead --hyperparams cycles=0", "agent lookahead: cycles is 0, allowed: a finite number above 0"),
    ("--agent on-device --hyperparams tie=0", "agent on-device: unknown hyperparameter 'tie'"),
    ("--trace point.csv", "unrecognized arguments: --trace point.csv"),
]
EVALUATIONS = [
    ("--scenarios table2", "groups: table1, double-speed, city, rates"),
    ("--agents oracle --env-kwargs action=absolute", "oracle needs action=oracle, not absolute"),
    ("--agents on-device --hyperparams tie=0", "none of on-device has a hyperparameter 'tie'"),
]
CLIENT = {"client": "pixel6a"}
PLAN = {"schema": 2, "kind": "pipeline", "model": "vgg16_32", "types": {**CLIENT, "cloud": "v100-pytorch"}, "cut": 6,
        "worker": "cloud", "in_flight": 2, "notes": {}}  # fmt: skip
PLAYED = {"cut_moves": 0.0, "worker_switches": 0.0}  # by the plan
PLANS = [
    (
        {"worker": "site-125", "types": {**CLIENT, "site-125": "v100"}},
        "plan.json: types: site-125 (v100) is not in scenario vgg16-cifar10, which has client (pixel6a), cloud (",
    ),
    ({"worker": "none", "types": CLIENT}, "worker is 'none' with cut 6, allowed: none behind all layers only"),
    ({"worker": 3}, "plan.json: worker"),
    ({"cut": 0}, "plan.json: cut is 0, "),
    ({"cut": 99}, "plan.json: cut is 99, "),
    ({"cut": 1.5}, "plan.json: cut "),
    ({"in_flight": 3}, "plan.json: in_flight is 3, that of vgg16-cifar10 is 2"),
    ({"in_flight": 0}, "plan.json: in_flight is 0"),
    ({"model": "vgg16"}, "plan.json: model is 'vgg16', expected 'vgg16_32'"),
]


def write_files(folder: Path) -> None:
    """Files that are wrong, each in its way."""
    for name, text in {
        "nocolumn.csv": "LAT,LON\n-37.8,144.9\n",
        "range.csv": "LATITUDE,LONGITUDE\n-37.8,144.9\n-97.8,144.9\n",
        "west.csv": "LATITUDE,LONGITUDE\n-37.8,244.9\n",
        "words.csv": "LATITUDE,LONGITUDE\nhere,144.9\n",
        "short.csv": "LATITUDE,LONGITUDE\n-37.8\n",
        "nothing.csv": "",
        "header.csv": "LATITUDE,LONGITUDE\n",
        "point.csv": "LATITUDE,LONGITUDE\n-37.8,144.9\n",
        "noiterations.yaml": "model: vgg16_32\non_device_s: 300\n",
        "zero.yaml": "model: vgg16_32\non_device_s: 300\ncycle: 0\n",
        "field.yaml": f"{FIELDS}colour: red\n",
        "nosites.yaml": f"{FIELDS}sites: nowhere.csv\n",
        "point.yaml": f"{FIELDS}trajectory: point.csv\n",
        "list.yaml": "- 1\n",
        "broken.yaml": "model: [",
    }.items():
        (folder / name).write_text(text)
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    modelled_profile(get_model("vgg16"), "pixel6a", (32,), "sgd", True).save(folder / "other.csv")
