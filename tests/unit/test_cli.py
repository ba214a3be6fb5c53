"""The command line: the table of commands, exit codes, one message per error."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from r1fleet.cli import main as cli
from r1fleet.cli.extra_vars import parse_extra_vars
from r1fleet.errors import HostUnreachable, UsageError, Where
from r1fleet.inventory import Host
from r1fleet.status import Access
from r1fleet.transport import Become, Session


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(list(argv))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_every_command_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")

    assert code == 0
    for name, entry in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert entry.help.split()[0] in out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_shows_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, name, "--help")

    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: r1fleet {name}")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("r1fleet la", {"launch", "lab"}),
        ("r1fleet lab he", {"heal"}),
        ("r1fleet launch --re", {"--replace"}),
        ("r1fleet launch --install", set[str]()),
    ],
)
def test_a_shell_completes_commands_and_their_options(
    words: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_R1FLEET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))

    with pytest.raises(SystemExit) as ended:
        run(capsys)

    assert ended.value.code in (0, None)
    assert set(capsys.readouterr().out.split()) == offered


def test_a_playbook_runs_on_one_inventory(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "play", "site.yaml", "-i", "a.yaml", "-i", "b.yaml")

    assert code == 5
    assert "one inventory" in err


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sits at the terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO())


TWO = """
all:
  vars:
    deployments:
      one: {engine: vllm, model: org/m, hosts: gpu, machine: 1xH200}
      two: {engine: vllm, model: org/m, hosts: gpu, machine: 1xH200}
  children: {gpu: {hosts: {a: }}}
"""


@pytest.mark.parametrize("command", ["plan", "launch"])
@pytest.mark.usefixtures("alone")
def test_where_nobody_can_be_asked_several_deployments_are_named(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text(TWO)

    code, out, err = run(capsys, command, "-i", str(tmp_path / "site.yaml"))

    assert (code, out) == (5, "")
    assert err.splitlines() == [
        "error: several deployments could be meant: one, two",
        "  hint: say which: its name",
    ]


@pytest.mark.parametrize("words", [["stop", "one"], ["restart", "one"], ["launch", "one", "--replace"]])
@pytest.mark.usefixtures("alone")
def test_where_nobody_can_be_asked_for_a_yes_it_must_be_given(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text(TWO)

    code, _, err = run(capsys, *words, "-i", str(tmp_path / "site.yaml"))

    assert (code, err.splitlines()[1]) == (5, "  hint: --yes, where nobody can be asked")


def test_status_names_inventories_in_sight_only_where_none_was_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(capsys, "init", "fleet")
    monkeypatch.chdir("fleet")
    Path("local.yaml").write_text("all: {hosts: {here: {ansible_connection: local, ansible_user: root}}}\n")

    sight = "inventories/h200.yaml: never provisioned from here"

    assert sight in run(capsys, "status")[1]
    assert sight not in run(capsys, "status", "-i", "local.yaml")[1]


def test_help_and_plan_start_without_the_ssh_stack_or_rich() -> None:
    script = (
        "import sys; from r1fleet.cli.main import run; run(['--help']);"
        "print(sorted({'paramiko', 'fabric', 'rich', 'pydantic', 'jinja2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_a_usage_error_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "lunch")

    assert (code, out) == (5, "")
    assert "error: No such command 'lunch'" in err
    assert "launch" in err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "plan", "--frobnicate")

    assert code == 5
    assert err.splitlines()[0] == "error: No such option: --frobnicate"


def test_no_such_inventory_names_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "plan", "-i", str(tmp_path / "nowhere.yaml"))

    assert code == 5
    assert "nowhere.yaml" in err.splitlines()[0]


def _command(error: BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise error

    return app


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path))
    return monkeypatch


def fail_with(error: BaseException, failing: pytest.MonkeyPatch) -> None:
    failing.setattr("r1fleet.cli.plan.app", _command(error))


def test_an_error_shows_cause_place_and_hint_and_has_its_exit_code(
    failing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(HostUnreachable("no route", where=Where(host="h1"), hint="look at the cable"), failing)

    code, out, err = run(capsys, "plan")

    assert (code, out) == (4, "")
    assert err.splitlines() == ["error: no route", "  at host h1", "  hint: look at the cable"]


def test_ctrl_c_ends_with_its_own_code(failing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(KeyboardInterrupt(), failing)

    code, _, err = run(capsys, "plan")

    assert (code, err) == (99, "error: interrupted\n")


class Impatient:
    """A way to hosts on which somebody presses Ctrl-C."""

    def open(self, host: Host, become: Become | None = None) -> Session:
        raise KeyboardInterrupt

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["stop", "one", "-y"], "r1fleet stop one ends what is left"),
        (["launch", "one"], "r1fleet status one tells what runs there"),
        (["restart", "one", "-y"], "r1fleet status one tells what runs there"),
    ],
)
def test_ctrl_c_before_anything_is_known_says_how_to_find_out(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for row in TWO.splitlines() if "two:" not in row]
    (tmp_path / "site.yaml").write_text("\n".join(rows))
    module = "stop" if words[0] == "stop" else "launch"
    monkeypatch.setattr(f"r1fleet.cli.{module}.access", lambda reach: Access(Impatient(), lambda host: None))

    code, _, err = run(capsys, *words, "-i", str(tmp_path / "site.yaml"))

    assert (code, err.splitlines()[-1]) == (99, f"  hint: {hint}")


def test_a_bug_of_ours_is_one_message_and_a_report_in_the_cache(
    failing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fail_with(ZeroDivisionError("oops"), failing)

    code, _, err = run(capsys, "plan")
    (report,) = (tmp_path / "bugs").iterdir()

    assert code == 250
    assert "Traceback" not in err
    assert str(report) in err
    assert "ZeroDivisionError: oops" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_extra_vars_take_pairs_json_and_files(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("size: 3\nname: from the file\n")

    merged = parse_extra_vars(["name=first other='two words'", f"@{file}", '{"list": [1, 2]}', "name=last"])

    assert merged == {"name": "last", "other": "two words", "size": 3, "list": [1, 2]}


@pytest.mark.parametrize("text", ["novalue", "=x", "a='b", "[1, 2]", ""])
def test_extra_vars_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="-e"):
        parse_extra_vars([text])


def test_init_makes_a_project_and_never_overwrites_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, _ = run(capsys, "init", "fleet")
    again, _, err = run(capsys, "init", "fleet")

    assert code == 0
    assert "r1fleet plan -i inventories/h200.yaml" in out
    assert (tmp_path / "fleet/inventories/h200.yaml").is_file()
    assert (tmp_path / "fleet/playbooks/provision.yaml").is_file()
    assert again == 5
    assert "not empty" in err


def test_the_example_inventory_plans_both_ranks_offline(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path / "cache"))
    run(capsys, "init", "fleet")

    code, out, err = run(capsys, "plan", "-i", "fleet/inventories/h200.yaml")

    assert (code, err) == (0, "")
    assert "rendezvous 192.168.114.10:20000" in out
    assert "endpoint http://192.168.114.10:40000/v1" in out
    assert out.count("--tp-size 16") == 2
    for rank in (0, 1):
        assert f"--node-rank {rank}" in out
