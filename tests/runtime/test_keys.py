"""Keys and the roster: made by a command, read back, and every way they can be wrong is one line."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
import yaml
import zmq

from splitgym.runtime import keys_command
from splitgym.runtime.keys import (
    Identity,
    Member,
    Roster,
    load_identity,
    load_roster,
    make_identity,
    make_members,
    save_identity,
    save_roster,
)
from splitgym.ui.claims import claimed
from splitgym.ui.errors import InputError
from splitgym.ui.programs import needs

from ..disk import REFUSAL, no_room

Capture = pytest.CaptureFixture[str]
KEY = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"  # the pair in ZeroMQ's manual
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
OTHER = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(line: str, capsys: Capture, code: int = 0) -> str:
    """Run the command; what it prints, or its one line of error."""
    assert keys_command.main(line.split()) == code
    out, err = capsys.readouterr()
    if code:
        assert out == ""
        assert len(err.splitlines()) == 1
        assert err.startswith("splitgym-keys")
        return err
    assert err == ""
    return out


def test_keys_for_everybody(capsys: Capture) -> None:
    out = run("make controller pi-1 pi-2", capsys)
    roster = load_roster("keys/roster.yaml")
    assert {name: member.role for name, member in roster.members.items()} == {
        "controller": "controller",
        "pi-1": "worker",
        "pi-2": "worker",
    }
    for name, member in roster.members.items():
        path = Path("keys") / f"{name}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        identity = load_identity(path)
        assert (identity.name, identity.public) == (name, member.public)
        assert zmq.curve_public(identity.secret.encode()) == member.public.encode()
        assert roster.name_of(member.public) == name
        assert f"keys/{name}.key" in out
        assert identity.secret not in out + repr(identity) + Path("keys/roster.yaml").read_text()
    assert roster.name_of(KEY) is None
    assert sorted(os.listdir("keys")) == ["controller.key", "pi-1.key", "pi-2.key", "roster.yaml"]  # noqa: PTH208


def test_secret_keys_are_nobody_elses_whatever_the_umask(capsys: Capture) -> None:
    before = os.umask(0)
    try:
        run("make controller", capsys)
        run("make controller --force", capsys)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (Path("keys"), *Path("keys").iterdir())}
    assert modes == {"keys": 0o700, "controller.key": 0o600, "roster.yaml": 0o644}


def test_the_roster_grows_and_roles_stay(capsys: Capture) -> None:
    run("make desk pi-1 --controller desk --out k", capsys)
    first = load_roster("k/roster.yaml").members
    run("make pi-2 --out k", capsys)
    run("make desk --force --out k", capsys)
    later = load_roster("k/roster.yaml").members
    assert {name: member.role for name, member in later.items()} == {
        "desk": "controller",
        "pi-1": "worker",
        "pi-2": "worker",
    }
    assert later["pi-1"] == first["pi-1"]
    assert later["desk"].public != first["desk"].public
    assert load_identity("k/desk.key").public == later["desk"].public


def test_nothing_is_overwritten_unasked(capsys: Capture) -> None:
    run("make controller pi-1", capsys)
    before = {path.name: path.read_bytes() for path in Path("keys").iterdir()}
    error = run("make pi-2 pi-1", capsys, 2)
    assert "keys/pi-1.key: has a key of pi-1; --force makes a new one" in error
    Path("keys/pi-1.key").rename("moved.key")  # to its machine
    assert "keys/roster.yaml: has a key of pi-1" in run("make pi-1", capsys, 2)
    Path("moved.key").rename("keys/pi-1.key")
    assert {path.name: path.read_bytes() for path in Path("keys").iterdir()} == before
    identity = make_identity("pi-1")
    with pytest.raises(InputError, match=r"^keys/pi-1\.key: is there already; --force replaces it"):
        save_identity(Path("keys/pi-1.key"), identity)
    assert {path.name: path.read_bytes() for path in Path("keys").iterdir()} == before


def test_show_says_whose_keys_are_here(capsys: Capture) -> None:
    run("make controller pi-1 pi-2", capsys)
    Path("keys/pi-1.key").unlink()
    Path("keys/pi-2.key").unlink()
    save_identity(Path("keys/pi-2.key"), make_identity("pi-2"))
    lines = run("show", capsys).splitlines()
    members = load_roster("keys/roster.yaml").members
    for name, words in {
        "controller": "controller .* here",
        "pi-1": "worker .* not here",
        "pi-2": "worker .* another one is here",
    }.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        first, last = words.split(" .* ")
        assert line.split()[1] == first
        assert members[name].public in line
        assert line.rstrip().endswith(last)
    assert run("show keys", capsys).splitlines() == lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "the following arguments are required: command"),
        ("bake", "invalid choice: 'bake'"),
        ("make", "the following arguments are required: NAME"),
        ("make pi-1 pi-2", "nobody is the controller: call a machine 'controller', or say --controller NAME"),
        ("make controller pi/1", "name is 'pi/1', allowed: up to 64 letters, digits"),
        ("make controller ../pi", "name is '../pi', allowed"),
        ("make controller " + 65 * "x", "allowed: up to 64"),
        ("make controller pi pi", "pi is there twice"),
        ("make pi --controller desk", "--controller desk: allowed: one of pi"),
        ("make controller --out file/keys", "--out file/keys: cannot be written (Not a directory)"),
        ("show", "keys/roster.yaml: cannot be read (No such file or directory)"),
        ("show nowhere", "nowhere/roster.yaml: cannot be read (No such file or directory)"),
    ],
)
def test_mistakes_on_the_command_line(line: str, reason: str, capsys: Capture) -> None:
    Path("file").touch()
    assert reason in run(line, capsys, 2)
    assert os.listdir() == ["file"]  # noqa: PTH208


def test_one_process_at_a_time_makes_keys_in_a_folder(capsys: Capture) -> None:
    with claimed(Path("keys"), "here"):
        assert "--out keys: another process is writing there" in run("make controller", capsys, 2)
    assert os.listdir() == []  # noqa: PTH208


def test_keys_that_cannot_be_written_leave_what_was_there(capsys: Capture) -> None:
    with no_room():
        assert f"new/keys/controller.key: {REFUSAL}" in run("make controller --out new/keys", capsys, 2)
    assert os.listdir() == []  # noqa: PTH208
    run("make controller", capsys)
    before = Path("keys/roster.yaml").read_text()
    with no_room(len(before)):  # for a key, not for a longer roster
        assert f"keys/roster.yaml: {REFUSAL}" in run("make pi-1", capsys, 2)
    assert sorted(os.listdir("keys")) == ["controller.key", "roster.yaml"]  # noqa: PTH208
    assert Path("keys/roster.yaml").read_text() == before


def test_help(capsys: Capture) -> None:
    for line in ("--help", "make --help", "show --help"):
        assert "usage: splitgym-keys" in run(line, capsys)


def test_without_zeromq_it_says_what_to_install(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    monkeypatch.delitem(sys.modules, "splitgym.runtime.keys")
    assert f"splitgym-keys: {needs('zmq')}" in run("make controller", capsys, 2)


def test_a_secret_key_that_others_can_read_is_refused(capsys: Capture) -> None:
    run("make controller", capsys)
    for mode in (0o644, 0o640, 0o604, 0o620, 0o601):
        Path("keys/controller.key").chmod(mode)
        with pytest.raises(InputError) as caught:
            load_identity("keys/controller.key")
        said = f"holds a secret key but has mode {mode:04o}, allowed: 0600 (chmod 600 keys/controller.key)"
        assert str(caught.value) == f"keys/controller.key: {said}"
        assert f"has mode {mode:04o}" in run("show", capsys, 2)
    Path("keys/controller.key").chmod(0o400)
    load_identity("keys/controller.key")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds something else, allowed: exactly name, secret"),
        ("name: [", "is not YAML"),
        ("name: pi", "holds name, allowed: exactly name, secret"),
        (yaml.safe_dump({"name": "pi", "secret": SECRET, "x": 1}), "allowed: exactly name, secret"),
        (yaml.safe_dump({"name": 7, "secret": SECRET}), "name is 7, allowed: up to 64 letters"),
        (yaml.safe_dump({"name": "pi", "secret": SECRET[:-1]}), "secret is broken, allowed: 40 characters of Z85"),
        (yaml.safe_dump({"name": "pi", "secret": SECRET[:-1] + "é"}), "secret is broken"),
        (yaml.safe_dump({"name": "pi", "secret": "~" * 40}), "secret is broken"),
        (yaml.safe_dump({"name": "pi", "secret": "#" * 40}), "secret is broken"),
        (yaml.safe_dump({"name": "pi", "secret": 40 * [1]}), "secret is broken"),
    ],
)
def test_broken_secret_keys(content: str, reason: str) -> None:
    path = Path("pi.key")
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(InputError) as caught:
        load_identity(path)
    message = str(caught.value)
    assert message.startswith("pi.key: ")
    assert reason in message
    assert "\n" not in message
    assert SECRET[:-1] not in message


def test_files_that_cannot_be_read_or_written() -> None:
    for load in (load_identity, load_roster):
        with pytest.raises(InputError, match=r"^nix: cannot be read \(No such file or directory\)$"):
            load("nix")
    Path("folder").mkdir(mode=0o700)
    with pytest.raises(InputError, match=r"^folder: cannot be read \(Is a directory\)$"):
        load_identity("folder")
    with pytest.raises(InputError, match=r"^nix/a\.key: cannot be written \(No such file or directory\)$"):
        save_identity(Path("nix/a.key"), make_identity("a"))
    with pytest.raises(InputError, match=r"^nix/roster\.yaml: cannot be written \(No such file or directory\)$"):
        save_roster(Path("nix/roster.yaml"), Roster([]))
    Path("bytes").write_bytes(b"\xff\xfe")
    Path("bytes").chmod(0o600)
    for load in (load_identity, load_roster):
        with pytest.raises(InputError, match=r"^bytes: is not a text file in UTF-8$"):
            load("bytes")


def member(**changes: object) -> dict[str, object]:
    return {"name": "pi", "role": "worker", "key": KEY, **changes}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "must be a list of members with name, role and key"),
        ({"pi": KEY}, "must be a list of members"),
        ("pi", "must be a list of members"),
        ([7], "member 1: holds something else, allowed: exactly name, role, key"),
        ([member(), {"name": "x"}], "member 2: holds name, allowed: exactly name, role, key"),
        ([member(port=1)], "member 1: holds key, name, port, role, allowed: exactly"),
        ([member(name="a b")], "member 1: name is 'a b', allowed: up to 64 letters"),
        ([member(role="boss")], "member 1 (pi): role is 'boss', allowed: controller, worker"),
        ([member(role=["worker"])], "member 1 (pi): role is ['worker'], allowed"),
        ([member(key=KEY[:-1])], "member 1 (pi): key is "),
        ([member(key="~" * 40)], "allowed: 40 characters of Z85"),
        ([member(key=None)], "member 1 (pi): key is None, allowed: 40 characters of Z85"),
        ([member(), member(key=OTHER)], "pi is there twice"),
        ([member(), member(name="pi-2")], "pi-2 has the key of pi"),
    ],
)
def test_broken_rosters(rows: object, reason: str) -> None:
    Path("roster.yaml").write_text(yaml.safe_dump(rows), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_roster("roster.yaml")
    assert str(caught.value).startswith("roster.yaml: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_roster_that_anybody_can_change_is_refused() -> None:
    save_roster(Path("roster.yaml"), Roster([Member("pi", KEY, "worker")]))
    assert load_roster("roster.yaml").members == {"pi": Member("pi", KEY, "worker")}
    Path("roster.yaml").chmod(0o666)
    with pytest.raises(InputError, match=r"^roster\.yaml: can be changed by anybody \(mode 0666\)"):
        load_roster("roster.yaml")


def test_names_that_look_like_other_things_come_back_as_they_are() -> None:
    names = ["1", "1e3", "yes", "null", "2026-01-01", "a.b_c-d"]
    identities, roster = make_members(dict.fromkeys(names, "worker"))
    save_roster(Path("roster.yaml"), roster)
    assert load_roster("roster.yaml").members == roster.members
    for name, identity in identities.items():
        save_identity(Path("x.key"), identity, force=True)
        assert load_identity("x.key") == identity == Identity(name, identity.public, identity.secret)
