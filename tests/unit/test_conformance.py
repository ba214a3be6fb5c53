"""How runs of foreign tests are read, compared and scored."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conformance import scores
from tests.conformance.grade import Grade, differences, grade
from tests.conformance.refusals import NothingLeft, take_out_refused
from tests.conformance.transcript import REFUSED, Step, read_steps

TOLD = """
TASK [some : make it] **********************************************************
task path: /w/roles/some/tasks/main.yml:3:3
changed: [h] => (item=1) => {"changed": true, "msg": "ok: [h]"}
failed: [h] (item=2) => {"changed": false}
...ignoring

TASK [some : nothing here] *****************************************************
task path: /w/roles/some/tasks/main.yml:8

TASK [some : show] *************************************************************
task path: /w/roles/some/tasks/more.yml:1
ok: [h] => {
    "msg": "changed: [h]"
}

RUNNING HANDLER [some : again] *************************************************
task path: /w/roles/some/handlers/main.yml:1
fatal: [h]: UNREACHABLE! => {"msg": "gone"}
"""


def test_steps_are_places_with_the_status_of_each_item() -> None:
    assert [str(step) for step in read_steps(TOLD, folder="/w/roles")] == [
        "some/tasks/main.yml:3 changed failed ignored",
        "some/tasks/more.yml:1 ok",
        "some/handlers/main.yml:1 unreachable",
    ]


def test_hosts_answer_in_any_order() -> None:
    told = "TASK [x] ***\ntask path: /w/a:1\nok: [h2] => (item=1)\nincluded: x for h1, h3\nskipping: [h2] => (item=2)\n"
    assert read_steps(told, folder="/w") == [Step("a:1", ("included", "ok", "skipped"))]


def test_a_refused_task_never_counts_as_the_same() -> None:
    told = f"TASK [some : {REFUSED}] ***\ntask path: /w/roles/a:1\nfatal: [h]: FAILED! => {{}}\n...ignoring\n"
    assert read_steps(told, folder="/w/roles") == [Step("a:1", ("refused",))]


def test_grades_count_what_ran_under_either_engine() -> None:
    one, two, three = Step("a:1", ("ok",)), Step("a:2", ("ok",)), Step("a:3", ("ok",))
    assert grade([one, two], [one, two]) == Grade(2, 2)
    assert grade([one, two], [one, Step("a:2", ("failed",))]) == Grade(2, 1)
    assert grade([one], [one, two, three]) == Grade(3, 1)
    assert Grade(3, 1).percent == 33.3
    assert Grade(0, 0).percent == 0.0
    assert list(differences([one, two], [one, three])) == ["- a:2 ok", "+ a:3 ok"]


def test_scores_only_rise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SCORES", tmp_path / "scores.toml")
    assert scores.committed() == {}
    scores.write(scores.raised({"a": Grade(4, 2), "b": Grade(4, 3)}, {"a": Grade(4, 3), "b": Grade(4, 2)}))
    assert scores.committed() == {"a": Grade(4, 3), "b": Grade(4, 3)}
    assert scores.fallen(Grade(4, 3), Grade(4, 2))
    assert not scores.fallen(Grade(4, 3), Grade(8, 6))


def make(folder: Path, tasks: str) -> tuple[Path, Path]:
    path = folder / "roles/some/tasks/main.yml"
    path.parent.mkdir(parents=True)
    path.write_text(tasks)
    (folder / "site.yml").write_text("- {hosts: all, roles: [some]}\n")
    (folder / "inventory.yml").write_text("all: {hosts: {h: }}\n")
    return folder / "site.yml", folder / "inventory.yml"


def test_refused_tasks_are_replaced_where_they_stand(tmp_path: Path) -> None:
    site, inventory = make(
        tmp_path,
        "- command: 'true'\n- block:\n    - no_such_thing:\n        a: 1\n    - debug:\n- shell: x\n  strange: 1\n"
        "  register: told\n",
    )
    told = take_out_refused(site, inventory)
    assert "no_such_thing" in told[0]
    tasks = yaml.safe_load((tmp_path / "roles/some/tasks/main.yml").read_text())
    assert [task.get("name") for task in tasks] == [None, None, REFUSED]
    assert [task.get("name") for task in tasks[1]["block"]] == [REFUSED, None]
    assert tasks[2]["register"] == "told"
    assert "strange" in tasks[2]["fail"]["msg"]
    assert (tmp_path / "roles/some/tasks/main.yml").read_text().splitlines()[4] == "    - debug:"


def test_a_playbook_that_is_refused_for_more_than_its_tasks_is_not_graded(tmp_path: Path) -> None:
    site, inventory = make(tmp_path, "- debug:\n")
    (tmp_path / "inventory.yml").write_text("all: {strange: 1}\n")
    with pytest.raises(NothingLeft, match="strange"):
        take_out_refused(site, inventory)
