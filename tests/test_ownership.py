"""Who may write the policy file: modes, owners, folders and links, with real files. Needs root to change owners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import PolicyError
from edge.ownership import policy_file_problem, require_safe_policy_file

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of other owners are made")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    folder = tmp_path / "mien"
    folder.mkdir(mode=0o755)
    file = folder / "edge.toml"
    file.write_text("")
    file.chmod(0o644)
    return file


def test_a_file_of_roots_alone_is_fine(policy: Path) -> None:
    assert policy_file_problem(policy) == ""


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_refused(policy: Path, mode: int) -> None:
    policy.chmod(mode)
    assert "can be written by others" in policy_file_problem(policy)


def test_a_file_of_another_owner_is_refused_with_the_command_that_helps(policy: Path) -> None:
    os.chown(policy, 1000, 1000)
    with pytest.raises(PolicyError, match=r"belongs to user 1000.*chown root:root"):
        require_safe_policy_file(policy, "vehicle")
    require_safe_policy_file(policy, "demo")


def test_a_folder_in_which_the_file_could_be_swapped_is_refused(policy: Path) -> None:
    policy.parent.chmod(0o777)
    assert str(policy.parent) in policy_file_problem(policy)
    policy.parent.chmod(0o1777)
    assert policy_file_problem(policy) == ""
    os.chown(policy.parent, 1000, 1000)
    assert "belongs to user 1000" in policy_file_problem(policy)


def test_a_link_is_no_way_round(policy: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    os.chown(loose, 1000, 1000)
    link = loose / "edge.toml"
    link.symlink_to(policy)
    assert str(loose) in policy_file_problem(link)


def test_a_file_that_is_not_there_is_a_problem(policy: Path) -> None:
    assert "cannot be looked at" in policy_file_problem(policy.parent / "other.toml")


def test_the_daemon_does_not_start_with_a_policy_that_anybody_can_change(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write_text(
        '[site]\nname="a"\nmode="vehicle"\nsetting="private"\njurisdiction="US"\n'
        '[privacy]\noffload="never"\n[device]\nname="a"\n'
    )
    policy.chmod(0o666)
    assert main(["run", "--config", str(policy)]) == os.EX_CONFIG
    assert "only root may change the policy" in capsys.readouterr().err
    assert main(["check", "--config", str(policy)]) == 0
    assert "mien-edge run refuses this file" in capsys.readouterr().out
