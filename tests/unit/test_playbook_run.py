"""What a play does on hosts, task by task."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from r1fleet.errors import ExitCode, HostUnreachable, Interrupted, PlaybookError
from r1fleet.events import RUN, HostCounts, ItemResult, Recap, TaskResult, TaskStarted
from r1fleet.playbook import exit_code
from r1fleet.transport import Call, Reply
from tests.plays import FakeTransport, Project, shell


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_failed_host_drops_out_and_the_others_go_on(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: "{{ 'false' if n == 2 else 'true' }}"}
        - {name: two, command: echo}
    """)
    assert told.statuses("h2") == [("one", "failed")]
    assert told.statuses("h3") == [("one", "changed"), ("two", "changed")]
    assert exit_code(told.recap) == ExitCode.HOST_FAILED


def test_an_unreachable_host_drops_out_and_the_others_go_on(project: Project) -> None:
    told = project.tasks("- {name: one, command: echo}", FakeTransport(down=frozenset({"h2"})))
    assert told.statuses("h2") == [("one", "unreachable")]
    assert told.counts("h2") == HostCounts(unreachable=1)
    assert told.statuses("h1") == [("one", "changed")]
    assert exit_code(told.recap) == ExitCode.UNREACHABLE


def test_a_host_lost_in_the_middle_takes_no_further_part(project: Project) -> None:
    def lost(host: str, call: Call) -> Reply:
        if host == "h1" and call.args.get("cmd") == "echo 2":
            raise HostUnreachable("silent for 10 seconds")
        return shell(host, call)

    told = project.tasks(
        """
        - {name: one, command: echo 1}
        - {name: two, command: echo 2}
        - {name: three, command: echo 3}
    """,
        FakeTransport(lost),
    )
    assert told.statuses("h1") == [("one", "changed"), ("two", "unreachable")]
    assert told.result("two")["msg"] == "silent for 10 seconds"
    assert ("three", "changed") in told.statuses("h2")


def test_linear_ends_a_task_everywhere_before_the_next(project: Project) -> None:
    told = project.tasks("""
        - {name: one, shell: echo 1}
        - {name: two, shell: echo 2}
    """)
    assert [call.args["cmd"] for _, call in told.transport.calls] == ["echo 1"] * 3 + ["echo 2"] * 3


def test_ignored_failures_count_as_ok_changed_and_ignored(project: Project) -> None:
    told = project.tasks("- {name: one, command: 'false', ignore_errors: true}")
    assert told.statuses("h1") == [("one", "ignored")]
    assert told.counts() == HostCounts(ok=1, changed=1, ignored=1)
    assert exit_code(told.recap) == ExitCode.OK


def test_changed_when_and_failed_when_judge_the_registered_result(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: echo same, register: out, changed_when: "out.stdout != 'same'"}
        - {name: two, command: echo odd, register: out, failed_when: "'odd' in out.stdout", ignore_errors: true}
        - {name: three, command: "false", register: out, failed_when: false, changed_when: false}
    """)
    assert told.statuses("h1") == [("one", "ok"), ("two", "ignored"), ("three", "ok")]
    assert told.result("two")["failed_when_result"] is True


def test_a_condition_that_does_not_hold_skips_with_its_text(project: Project) -> None:
    told = project.tasks("- {name: one, command: echo, when: n == 2}")
    assert told.result("one") == {
        "changed": False,
        "skipped": True,
        "skip_reason": "Conditional result was False",
        "false_condition": "n == 2",
    }
    assert told.statuses("h2") == [("one", "changed")]


def test_a_condition_must_be_a_boolean(project: Project) -> None:
    told = project.tasks("- {name: one, command: echo, when: base}")
    assert "Conditionals must have a boolean result" in told.result("one")["msg"]
    assert told.transport.calls == []


def test_the_results_of_a_loop_have_ansibles_shape(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: "echo {{ item }}", loop: [a, b, c], when: item != 'b', register: out}
        - {name: two, debug: {msg: "{{ out.results | map(attribute='stdout', default='-') | join }}"}}
    """)
    result = told.result("one")
    assert result["msg"] == "All items completed"
    assert [item.get("skipped", False) for item in result["results"]] == [False, True, False]
    assert result["results"][0]["ansible_loop_var"] == "item"
    assert result["results"][2]["item"] == "c"
    assert told.result("two")["msg"] == "a-c"


def test_a_loop_over_nothing_and_a_loop_all_skipped_are_skipped(project: Project) -> None:
    told = project.tasks("""
        - {name: none, command: echo, loop: []}
        - {name: all, command: echo, loop: [1], when: false}
    """)
    assert told.result("none")["skipped_reason"] == "No items in the list"
    assert told.result("all")["msg"] == "All items skipped"
    assert told.counts() == HostCounts(skipped=2)


def test_a_failed_item_fails_the_task_after_the_last_item(project: Project) -> None:
    told = project.tasks("- {name: one, command: '{{ item }}', loop: ['false', 'echo']}")
    assert [item["rc"] for item in told.result("one")["results"]] == [1, 0]
    assert told.counts().failed == 1


def test_until_tries_again_and_counts_attempts(project: Project) -> None:
    tries: list[str] = []

    def third(host: str, call: Call) -> Reply:
        tries.append(host)
        return {"changed": True, "rc": 0 if len(tries) >= 3 else 1, "failed": len(tries) < 3}

    told = Project(project.folder, hosts=1).tasks(
        "- {name: one, command: x, register: out, until: out.rc == 0, retries: 5, delay: 0}", FakeTransport(third)
    )
    assert told.result("one")["attempts"] == 3
    assert told.notes() == [f"FAILED - RETRYING: [h1]: one ({left} retries left)." for left in (5, 4)]


def test_until_that_never_holds_fails(project: Project) -> None:
    told = project.tasks("- {name: one, command: 'false', register: out, until: out.rc == 0, retries: 2, delay: 0}")
    assert told.result("one")["attempts"] == 2
    assert told.counts().failed == 1


def test_rescue_runs_where_the_block_failed_and_always_everywhere(project: Project) -> None:
    told = project.tasks("""
        - block:
            - {name: try, command: "{{ 'false' if n == 1 else 'true' }}"}
            - {name: rest, command: echo}
          rescue:
            - {name: mend, debug: {msg: "{{ ansible_failed_task.name }}: {{ ansible_failed_result.rc }}"}}
          always:
            - {name: close, debug: {msg: done}}
        - {name: after, command: echo}
    """)
    assert told.statuses("h1") == [("try", "rescued"), ("mend", "ok"), ("close", "ok"), ("after", "changed")]
    assert told.statuses("h2") == [("try", "changed"), ("rest", "changed"), ("close", "ok"), ("after", "changed")]
    assert told.result("mend")["msg"] == "try: 1"
    assert told.counts() == HostCounts(ok=3, changed=1, rescued=1)


def test_a_failed_rescue_fails_the_host_after_always(project: Project) -> None:
    told = project.tasks("""
        - block: [{name: try, command: "false"}]
          rescue: [{name: mend, command: "false"}]
          always: [{name: close, command: echo}]
        - {name: after, command: echo}
    """)
    assert told.statuses("h1") == [("try", "rescued"), ("mend", "failed"), ("close", "changed")]


def test_run_once_runs_on_the_first_host_and_tells_all(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: echo only, run_once: true, register: out}
        - {name: two, debug: {msg: "{{ out.stdout }}"}}
    """)
    assert [host for host, _ in told.transport.calls] == ["h1"]
    assert told.result("two", "h3")["msg"] == "only"
    assert told.counts("h2") == HostCounts(ok=1)


def test_delegation_runs_there_with_the_variables_of_here(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: "echo {{ inventory_hostname }}", delegate_to: h3, when: n == 1}
        - {name: two, command: echo, delegate_to: localhost, run_once: true}
    """)
    assert [(host, call.args["cmd"]) for host, call in told.transport.calls] == [
        ("h3", "echo h1"),
        ("localhost", "echo"),
    ]
    assert told.transport.opened[-1].is_local


def test_any_errors_fatal_ends_the_play_for_all(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          any_errors_fatal: true
          tasks:
            - {name: one, command: "{{ 'false' if n == 2 else 'true' }}"}
            - {name: two, command: echo}
    """)
    assert "two" not in told.titles()
    assert told.counts("h1") == HostCounts(ok=1, changed=1)


def test_max_fail_percentage_is_exceeded_not_reached(project: Project) -> None:
    play = """
        - hosts: all
          gather_facts: false
          max_fail_percentage: {limit}
          tasks:
            - {{name: one, command: "{{{{ 'false' if n == 2 else 'true' }}}}"}}
            - {{name: two, command: echo}}
    """
    assert "two" in project.play(play.format(limit=34)).titles()
    assert "two" not in project.play(play.format(limit=33)).titles()


def test_serial_takes_hosts_in_batches(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          serial: [1, "67%"]
          tasks:
            - {name: one, debug: {msg: "{{ ansible_play_batch | join }}"}}
    """)
    assert [told.messages(host) for host in ("h1", "h2", "h3")] == [["h1"], ["h2h3"], ["h2h3"]]


def test_tags_choose_tasks(project: Project) -> None:
    play = """
        - {name: plain, debug: {msg: x}}
        - {name: a, debug: {msg: x}, tags: a}
        - {name: b, debug: {msg: x}, tags: [b, c]}
        - {name: always, debug: {msg: x}, tags: always}
        - {name: never, debug: {msg: x}, tags: [never, debug]}
    """
    assert project.tasks(play).titles() == ["plain", "a", "b", "always"]
    assert project.tasks(play, tags=("a",)).titles() == ["a", "always"]
    assert project.tasks(play, tags=("debug",)).titles() == ["always", "never"]
    assert project.tasks(play, skip_tags=("a", "always")).titles() == ["plain", "b"]
    assert project.tasks(play, tags=("untagged",)).titles() == ["plain", "always"]


def test_check_and_diff_travel_with_each_call(project: Project) -> None:
    told = project.tasks(
        """
        - {file: {path: /a, state: directory}}
        - {file: {path: /b, state: directory}, check_mode: false, diff: false}
    """,
        check=True,
        diff=True,
    )
    assert [(call.check, call.diff) for host, call in told.transport.calls if host == "h1"] == [
        (True, True),
        (False, False),
    ]


def test_become_environment_and_timeout_travel_with_each_call(project: Project) -> None:
    told = project.play(
        """
        - hosts: h1
          gather_facts: false
          become: true
          environment: {A: outer, B: "{{ n }}"}
          tasks:
            - {command: echo, become_user: app, environment: {A: inner}, timeout: 7}
            - {command: echo, become: false}
    """,
        become_password="secret",
    )
    first, second = (call for _, call in told.transport.calls)
    assert first.become is not None
    assert (first.become.user, first.become.password) == ("app", "secret")
    assert (dict(first.environment), first.timeout) == ({"A": "inner", "B": "1"}, 7.0)
    assert second.become is None


def test_no_log_hides_the_result_from_events_but_not_from_variables(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: echo hidden, no_log: true, register: out, loop: [hidden]}
        - {name: two, debug: {msg: "{{ out.results[0].stdout | length }}"}}
    """)
    assert "hidden word" not in str(told.events)
    assert "echo hidden" not in str(told.events)
    assert "no_log" in told.result("one")["censored"]
    assert told.result("two")["msg"] == 6


def test_host_values_are_never_templated(project: Project) -> None:
    def evil(host: str, call: Call) -> Reply:
        return {
            "changed": False,
            "stdout": "{{ lookup('pipe', 'touch /tmp/owned') }}",
            "ansible_facts": {"f": "{{ n }}"},
        }

    told = project.tasks(
        """
        - {command: x, register: out}
        - {name: two, debug: {msg: "{{ out.stdout }} {{ f }}"}}
        - set_fact: {kept: "{{ out.stdout }}"}
        - {name: three, debug: {msg: "{{ kept }}"}}
    """,
        FakeTransport(evil),
    )
    assert told.result("two")["msg"] == "{{ lookup('pipe', 'touch /tmp/owned') }} {{ n }}"
    assert told.result("three")["msg"] == "{{ lookup('pipe', 'touch /tmp/owned') }}"


def test_facts_cannot_redirect_a_connection(project: Project) -> None:
    def facts(host: str, call: Call) -> Reply:
        return {"changed": False, "ansible_facts": {"ansible_host": "evil", "ansible_kernel": "6"}}

    told = project.tasks(
        """
        - {command: x}
        - {name: two, debug: {msg: "{{ ansible_host | default(n) }} {{ ansible_kernel }} {{ ansible_facts.kernel }}"}}
    """,
        FakeTransport(facts),
    )
    assert told.result("two")["msg"] == "h1 6 6"


def test_template_and_copy_offer_content_by_its_hash(project: Project) -> None:
    project.write("playbooks/templates/a.j2", "{% if n == 1 %}\nhost {{ inventory_hostname }}\n{% endif %}\n")
    told = project.tasks("""
        - {template: {src: a.j2, dest: /etc/a, mode: "0600"}, when: n == 1}
        - {copy: {content: "text {{ n }}", dest: /etc/b}, when: n == 1}
    """)
    (_, template), (_, copy) = told.transport.calls
    assert template.blobs[0].open().read() == b"host h1\n"
    assert copy.blobs[0].open().read() == b"text 1"
    assert template.args["_entries"][0]["sha256"] == template.blobs[0].sha256
    assert template.args["mode"] == "0600"
    assert "content" not in copy.args


def test_an_undefined_variable_in_a_template_file_is_told_with_file_and_line(project: Project) -> None:
    path = project.write("playbooks/templates/a.j2", "one\ntwo\n{{ absent }}\n")
    told = project.tasks("- {name: one, template: {src: a.j2, dest: /etc/a}}")
    assert told.result("one")["msg"] == f"'absent' is undefined ({path}:3)"
    assert told.transport.calls == []


def test_group_by_and_add_host_reach_the_next_play(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          tasks:
            - group_by: {key: "odd_{{ n % 2 }}"}
            - add_host: {name: extra, groups: more, n: 9}
        - hosts: odd_1:more
          gather_facts: false
          tasks: [{name: who, debug: {msg: "{{ n }}"}}]
    """)
    assert [told.messages(host)[-1] for host in ("h1", "h3", "extra")] == [1, 3, 9]
    assert "who" not in [name for name, _ in told.statuses("h2")]


def test_meta_ends_hosts_and_plays(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          tasks:
            - {meta: end_host, when: n == 1}
            - {name: one, debug: {msg: x}}
            - meta: end_play
            - {name: two, debug: {msg: x}}
        - hosts: all
          gather_facts: false
          tasks: [{name: three, debug: {msg: x}}]
    """)
    assert told.statuses("h1") == [("three", "ok")]
    assert told.statuses("h2") == [("one", "ok"), ("three", "ok")]


def test_start_at_task_leaves_out_what_comes_before(project: Project) -> None:
    play = "- {name: one, debug: {msg: x}}\n- {name: two, debug: {msg: x}}\n- {name: three, debug: {msg: x}}\n"
    assert project.tasks(play, start_at_task="two").titles() == ["two", "three"]


def test_start_at_task_takes_a_pattern(project: Project) -> None:
    play = "- {name: one, debug: {msg: x}}\n- {name: two fish, debug: {msg: x}}\n"
    assert project.tasks(play, start_at_task="two*").titles() == ["two fish"]


def test_a_start_that_is_nearly_a_tasks_name_is_told_with_it(project: Project) -> None:
    with pytest.raises(PlaybookError) as caught:
        project.tasks("- {name: install, debug: {msg: x}}", start_at_task="instal")
    assert caught.value.hint == "did you mean 'install'?"


def test_each_task_is_asked_about_until_the_user_wants_to_go_on(project: Project) -> None:
    asked: list[str] = []
    answers = iter(["y", "", "no", "c"])

    def question(text: str) -> str:
        asked.append(text)
        return next(answers)

    play = "".join(f"- {{name: {name}, file: {{path: /x}}}}\n" for name in ("one", "two", "three", "four", "five"))
    told = project.tasks(play, step=question)
    assert told.titles() == ["one", "four", "five"]
    assert asked == [f"Perform task: {name} (N)o/(y)es/(c)ontinue: " for name in ("one", "two", "three", "four")]
    assert told.counts("h3").ok + told.counts("h3").changed > 0


def test_tags_that_no_task_has_are_told(project: Project) -> None:
    told = project.play("- {hosts: h1, tasks: [{name: one, debug: {msg: x}, tags: here}]}", tags=("absent",))
    assert told.notes() == ["no task has a tag of --tags absent; --list-tags shows those there are"]
    assert project.tasks("- {name: one, debug: {msg: x}, tags: here}", tags=("here",)).notes() == []


def test_a_start_that_no_task_has_is_an_error(project: Project) -> None:
    with pytest.raises(PlaybookError, match="no task is called 'absent'"):
        project.tasks("- {name: one, debug: {msg: x}}", start_at_task="absent")


def test_an_interrupt_closes_the_sessions_and_tells_the_recap(project: Project) -> None:
    def interrupt(host: str, call: Call) -> Reply:
        if call.args["cmd"] == "echo 2" and host == "h1":
            signal.raise_signal(signal.SIGINT)
        return shell(host, call)

    transport = FakeTransport(interrupt)
    with pytest.raises(Interrupted) as caught:
        project.tasks("- command: echo 1\n- name: Two\n  command: echo 2\n- command: echo 3\n", transport)
    assert caught.value.what.startswith('interrupted in task "Two"; stopped on ')
    assert "--start-at-task Two" in str(caught.value)
    assert caught.value.where is not None
    assert transport.closed
    assert "echo 3" not in [call.args["cmd"] for _, call in transport.calls]


def test_the_exit_code_prefers_failure_over_unreachable() -> None:
    assert exit_code(Recap({"a": HostCounts(failed=1), "b": HostCounts(unreachable=1)})) == ExitCode.HOST_FAILED


def test_the_limit_leaves_other_hosts_alone(project: Project) -> None:
    told = project.tasks("- command: echo", limit="h2,h3")
    assert [host for host, _ in told.transport.calls] == ["h2", "h3"]


def test_free_lets_each_host_go_its_own_way(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          strategy: free
          tasks: [{name: one, command: echo 1}, {name: two, command: echo 2, notify: late}]
          handlers: [{name: late, command: echo 3}]
    """)
    for host in ("h1", "h2", "h3"):
        assert [name for name, _ in told.statuses(host)] == ["one", "two", "late"]


def test_results_tell_where_they_were_made_and_to_which_task_an_item_belongs(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: echo, delegate_to: h2}
        - {name: two, command: "echo {{ item }}", loop: [a], delegate_to: h2}
        - {name: three, command: echo, delegate_to: h2, when: false}
    """)
    results = [event for event in told.events if isinstance(event, (TaskResult, ItemResult)) and event.host == "h1"]
    assert [(event.task, event.delegate) for event in results] == [
        ("one", "h2"),
        ("two", "h2"),
        ("two", "h2"),
        ("three", ""),
    ]
    item, task = results[1:3]
    assert isinstance(item, ItemResult)
    assert item.where == task.where
    assert item.where.endswith(":6:7")
    assert {event.delegate for event in told.events if isinstance(event, TaskResult) and event.host == "h2"} == {""}


@pytest.mark.parametrize("extra", ["", "  ignore_errors: true\n"])
def test_secret_arguments_are_masked_in_every_result(project: Project, extra: str) -> None:
    def careless(_: str, call: Call) -> Reply:
        said = str(call.args.get("password"))
        return {"changed": True, "password": said, "msg": f"set {said}!", "deep": [{"x": f"<{said}>"}], "uid": 7}

    told = project.tasks(f"- name: one\n  user: {{name: ann, password: hunter2}}\n{extra}", FakeTransport(careless))
    result = told.result("one")
    assert result["password"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert result["msg"] == "set ********!"
    assert result["deep"] == [{"x": "<********>"}]
    assert result["uid"] == 7
    assert "hunter2" not in repr(told.events)


def test_a_new_host_has_the_variables_of_its_groups(project: Project) -> None:
    project.write("inventories/group_vars/late.yaml", "{of_group: late, base: group}\n")
    told = project.play("""
        - hosts: h1
          gather_facts: false
          tasks:
            - {name: one, add_host: {name: new, groups: late, own: 1, ansible_user: ann}}
            - {name: two, group_by: {key: late}}
            - {name: three, debug: {msg: "{{ of_group }} {{ base }} {{ group_names }}"}}
        - hosts: late
          gather_facts: false
          tasks:
            - {name: four, debug: {msg: "{{ of_group }} {{ base }} {{ own | default('-') }} {{ groups.late }}"}}
            - {name: five, command: echo}
    """)
    assert told.result("three")["msg"] == "late group ['late']"
    assert told.result("four", "new")["msg"] == "late group 1 ['new', 'h1']"
    assert told.result("four", "h1")["msg"] == "late group - ['new', 'h1']"
    assert [host.variables["ansible_user"] for host in told.transport.opened if host.name == "new"] == ["ann"]


def test_a_handler_that_a_later_one_notifies_waits_for_the_next_flush(project: Project) -> None:
    told = project.play("""
        - hosts: h1
          gather_facts: false
          tasks:
            - {name: one, command: echo, notify: late}
          post_tasks:
            - {name: two, debug: {msg: post}}
          handlers:
            - {name: early, command: echo}
            - {name: late, command: echo, notify: [early, latest]}
            - {name: latest, command: echo}
    """)
    assert [name for name, _ in told.statuses("h1")] == ["one", "late", "latest", "two", "early"]


def test_what_a_handler_includes_is_told_as_handler(project: Project) -> None:
    project.write("playbooks/more.yaml", "- {name: inside, command: echo}\n")
    told = project.play("""
        - hosts: h1
          gather_facts: false
          tasks:
            - {name: one, command: echo, notify: all of it}
          handlers:
            - {name: all of it, include_tasks: more.yaml}
    """)
    begun = {event.name: event.handler for event in told.events if isinstance(event, TaskStarted)}
    assert begun == {"one": False, "all of it": True, "inside": True}


def test_facts_for_a_delegate_stay_with_it_also_where_one_host_acts_for_all(project: Project) -> None:
    told = project.tasks("""
        - {name: one, set_fact: {theirs: 1}, run_once: true, delegate_to: h3, delegate_facts: true}
        - {name: two, debug: {msg: "{{ theirs | default('none') }}"}}
        - {name: three, set_fact: {ours: 1}, run_once: true}
        - {name: four, debug: {msg: "{{ ours | default('none') }}"}}
    """)
    assert [told.result("two", host)["msg"] for host in ("h1", "h2", "h3")] == ["none", "none", 1]
    assert [told.result("four", host)["msg"] for host in ("h1", "h2", "h3")] == [1, 1, 1]


def test_a_judgement_that_cannot_be_made_keeps_the_result(project: Project) -> None:
    told = project.tasks("- {name: one, command: echo hi, failed_when: absent > 1, ignore_errors: true}")
    result = told.result("one")
    assert (result["stdout"], result["changed"], result["failed"]) == ("hi", True, True)
    assert "'absent' is undefined" in result["msg"]
    assert told.counts() == HostCounts(ok=1, changed=1, ignored=1)


def test_every_wrong_argument_of_a_role_is_told(project: Project) -> None:
    told = project.tasks("""
        - name: one
          validate_argument_spec:
            argument_spec:
              size: {type: int}
              kind: {choices: [a, b]}
              need: {required: true}
            provided_arguments: {size: big, kind: c}
          ignore_errors: true
        - {name: two, debug: {msg: 1, var: base}, ignore_errors: true}
    """)
    errors = told.result("one")["argument_errors"]
    assert [any(word in error for error in errors) for word in ("need", "size", "kind")] == [True] * 3
    assert "mutually exclusive" in told.result("two")["msg"]


def test_refresh_inventory_reads_the_files_again(project: Project) -> None:
    def add(_: str, call: Call) -> Reply:
        project.write("inventories/lab.yaml", "all:\n  hosts:\n    h1: {n: 7}\n    fresh: {n: 8}\n")
        return shell(_, call)

    told = project.play(
        """
        - hosts: h1
          gather_facts: false
          tasks:
            - {name: one, command: echo}
            - meta: refresh_inventory
            - {name: two, debug: {msg: "{{ n }} {{ groups.all }}"}}
        - hosts: fresh
          gather_facts: false
          tasks:
            - {name: three, debug: {msg: "{{ n }}"}}
        """,
        FakeTransport(add),
    )
    assert told.result("two")["msg"] == "7 ['h1', 'fresh']"
    assert told.result("three", "fresh")["msg"] == 8


def test_hosts_are_pardoned_for_the_next_play(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          tasks:
            - {name: one, command: "{{ 'false' if n == 2 else 'echo' }}"}
            - meta: clear_host_errors
            - {name: two, command: echo}
        - hosts: all
          gather_facts: false
          tasks:
            - {name: three, command: echo}
    """)
    assert [name for name, _ in told.statuses("h2")] == ["one", "three"]
    assert told.counts("h2").failed == 1
    assert exit_code(told.recap) == ExitCode.OK


def test_a_host_that_has_ended_is_no_host_of_the_play(project: Project) -> None:
    told = project.tasks("""
        - {meta: end_host, when: n == 2}
        - {name: one, debug: {msg: "{{ ansible_play_hosts }}"}}
        - {meta: end_batch, when: n == 1}
        - {name: two, command: echo}
    """)
    assert told.result("one")["msg"] == ["h1", "h3"]
    assert [name for name, _ in told.statuses("h3")] == ["one"]


def test_pause_hides_what_is_typed_where_it_must_not_be_seen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"hidden after {prompt}")
    monkeypatch.setattr("builtins.input", lambda prompt: f"seen after {prompt}")
    told = project.tasks("""
        - {name: one, pause: {prompt: Key, echo: false}}
        - {name: two, pause: {prompt: Go}}
    """)
    assert told.result("one")["user_input"] == "hidden after Key (output is hidden): "
    assert told.result("two")["user_input"] == "seen after Go: "


def test_loops_and_variables_that_lead_nowhere_are_told(project: Project) -> None:
    told = project.tasks("""
        - {name: absent, command: echo, loop: "{{ absent }}", ignore_errors: true}
        - {name: text, command: echo, loop: "{{ base }}", ignore_errors: true}
        - {name: circle, debug: {msg: "{{ a }}"}, vars: {a: "{{ b }}", b: "{{ a }}"}, ignore_errors: true}
    """)
    assert "'absent' is undefined" in told.result("absent")["msg"]
    assert "requires a list" in told.result("text")["msg"]
    assert "circular variable: a -> b -> a" in told.result("circle")["msg"]
    assert all("site.yaml:" in told.result(name)["msg"] for name in ("absent", "text", "circle"))


def test_figures_add_up_over_hosts_and_tasks(project: Project) -> None:
    told = project.tasks("""
        - set_stats: {data: {count: 1, names: ["{{ inventory_hostname }}"], kept: {a: 1}}}
        - set_stats: {data: {count: text, kept: {b: "{{ inventory_hostname }}"}}}
        - set_stats: {data: {last: "{{ inventory_hostname }}"}, aggregate: false}
        - set_stats: {data: {own: "{{ n }}"}, per_host: true}
          name: per host
    """)
    assert dict(told.recap.stats) == {
        RUN: {"count": 3, "names": ["h1", "h2", "h3"], "kept": {"a": 1, "b": "h3"}, "last": "h3"},
        "h1": {"own": 1},
        "h2": {"own": 2},
        "h3": {"own": 3},
    }
    assert told.result("per host")["ansible_stats"] == {"data": {"own": 1}, "per_host": True, "aggregate": True}
