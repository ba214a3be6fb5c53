"""Ask goes to a real endpoint: straight from the controller, or by the leader where a key or no route wants that."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from r1fleet.agent.chat import converse, generate
from r1fleet.agent.completion import NoAnswer, complete
from r1fleet.console.speech import Speech, figures
from r1fleet.errors import HostFailed, HostUnreachable, UsageError
from r1fleet.events import Event, Said
from r1fleet.launch import LaunchOptions, launch, stop
from r1fleet.status import Answer, AskOptions, ask, conversation
from tests.fleets import READY, Fleet
from tests.gangs import rehearsal

NAME = "rehearsal"


def event(delta: dict[str, str], finish: str | None = None, **more: Any) -> str:
    return json.dumps({"model": "tiny", "choices": [{"delta": delta, "finish_reason": finish}], **more})


HELLO = [event({"role": "assistant", "content": ""}), event({"content": "hel"}), event({"content": "lo"}, "stop")]
USAGE = json.dumps({"model": "tiny", "choices": [], "usage": {"completion_tokens": 2}})


class Endpoint(BaseHTTPRequestHandler):
    """Answers with what a test has put into its ``script``; ``asked`` lists what it was sent."""

    status = 200
    script: ClassVar[list[str] | dict[str, Any] | bytes] = []
    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        self.asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        streams = isinstance(self.script, list)
        self.send_response(self.status)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8" if streams else "application/json")
        self.end_headers()
        if isinstance(self.script, list):
            self.wfile.write("".join(f"data: {line}\n\n" for line in self.script).encode())
        else:
            self.wfile.write(self.script if isinstance(self.script, bytes) else json.dumps(self.script).encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[HTTPServer]:
    Endpoint.status, Endpoint.asked = 200, []
    Endpoint.script = [*HELLO, USAGE, "[DONE]"]
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(endpoint: HTTPServer) -> str:
    return f"http://127.0.0.1:{endpoint.server_port}"


def started(fleet: Fleet, *, key: str = "", **more: Any) -> Fleet:
    fleet.network = "127.0.0."
    plan = rehearsal([("a", "127.0.0.1")], api_key=bool(key), **more)
    options = LaunchOptions(hosts=fleet.hosts, interval=0.01, detach=True, api_key=key)
    launch(plan, fleet.access, lambda event: None, options)
    fleet["a"].verdict = dict(READY)
    # The fake leader is this machine: its loopback is ours.
    fleet.hosts["a"].variables["ansible_connection"] = "local"  # type: ignore[index]
    return fleet


@pytest.fixture
def fleet(endpoint: HTTPServer) -> Fleet:
    return started(Fleet("a"), port=endpoint.server_port)


def put(fleet: Fleet, **options: Any) -> Answer:
    return ask(fleet.hosts.values(), fleet.access, AskOptions("hello", **options))


# --- the protocol ----------------------------------------------------------------------------------


def test_pieces_come_as_they_are_streamed_with_figures_at_the_end(url: str) -> None:
    *pieces, last = converse(url, {"model": "tiny", "messages": []})
    assert pieces == [{"text": "hel"}, {"text": "lo"}]
    end = last["end"]
    assert (end["model"], end["tokens"], end["finish"]) == ("tiny", 2, "stop")
    assert 0 <= end["first"] <= end["seconds"]
    assert Endpoint.asked[0][1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_a_model_thinks_is_told_apart_under_either_name(url: str, name: str) -> None:
    Endpoint.script = [event({name: "hm"}), event({"content": "yes"}, "stop"), "[DONE]"]
    assert [*converse(url, {})][:2] == [{"thought": "hm"}, {"text": "yes"}]


def test_an_endpoint_that_does_not_stream_is_read_whole(url: str) -> None:
    message = {"content": "yes", "reasoning_content": "hm"}
    Endpoint.script = {"model": "tiny", "choices": [{"message": message, "finish_reason": "length"}]}
    *pieces, last = converse(url, {})
    assert (pieces, last["end"]["finish"]) == ([{"thought": "hm"}, {"text": "yes"}], "length")
    assert complete(url, "tiny", "?")["text"] == "yes"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (HELLO[:2], "the answer broke off"),
        ([json.dumps({"error": {"message": "out of memory"}})], "out of memory"),
        (["{never json"], "no chat completion: {never"),
        ({"choices": []}, "no chat completion"),
        (b"<html>", "no chat completion: <html>"),
    ],
)
def test_what_is_no_whole_answer_is_no_answer(url: str, script: Any, said: str) -> None:
    Endpoint.script = script
    with pytest.raises(NoAnswer, match=said):
        list(converse(url, {}))


def test_generate_posts_a_text_and_reads_sglangs_answer(url: str) -> None:
    about = {"completion_tokens": 3, "finish_reason": {"type": "length", "length": 3}}
    Endpoint.script = {"text": " there was a", "meta_info": about}
    answer = generate(url, "Once", {"max_new_tokens": 3})
    assert (answer["text"], answer["tokens"], answer["finish"]) == (" there was a", 3, "length")
    assert Endpoint.asked == [("/generate", {"text": "Once", "sampling_params": {"max_new_tokens": 3}})]
    Endpoint.script = {"error": "no"}
    with pytest.raises(NoAnswer, match="not what /generate answers"):
        generate(url, "Once", {})


# --- the way ---------------------------------------------------------------------------------------


def test_it_goes_straight_where_it_can_and_lets_the_leader_know(fleet: Fleet, url: str) -> None:
    answer = put(fleet)
    assert (answer.text, answer.url, answer.tokens) == ("hello", url, 2)
    seen = [args for module, args in fleet["a"].calls if module == "fleet_seen"]
    assert [args["folder"] for args in seen] == [f"/var/lib/r1fleet/{NAME}/generations/1/verdict-0"]


def test_it_goes_by_the_leader_where_the_endpoint_is_not_reached() -> None:
    answer = put(started(Fleet("a"), port=1))
    assert (answer.text, answer.url) == ("hi", "http://127.0.0.1:1 on a")


def test_the_loopback_of_another_host_is_not_ours(fleet: Fleet) -> None:
    del fleet.hosts["a"].variables["ansible_connection"]  # type: ignore[attr-defined]
    assert put(fleet).url.endswith(" on a")
    assert Endpoint.asked == []


def test_a_key_stays_on_its_host(endpoint: HTTPServer) -> None:
    fleet = started(Fleet("a"), key="k", port=endpoint.server_port)
    assert put(fleet).text == "hi"
    args = next(args for module, args in fleet["a"].calls if module == "fleet_ask")
    assert args["key_name"] == "VLLM_API_KEY"
    assert args["key_file"].endswith(f"/generations/1/r1fleet-{NAME}-0-0.secrets")
    assert Endpoint.asked == []


def test_thoughts_come_by_the_leader_too(fleet: Fleet) -> None:
    fleet = started(Fleet("a"), port=1)
    fleet["a"].pieces = [{"thought": "hm"}, {"text": "yes"}]
    events: list[Event] = []
    answer = ask(fleet.hosts.values(), fleet.access, AskOptions("?"), events.append)
    assert (answer.thought, answer.text) == ("hm", "yes")
    assert events == [Said(NAME, "hm", True), Said(NAME, "yes")]


def test_all_but_the_leader_are_let_go_before_the_first_word() -> None:
    fleet = Fleet("a", "b")
    started(fleet, port=1)
    fleet.closed.clear()
    with conversation(fleet.hosts.values(), fleet.access, AskOptions()):
        assert fleet.closed == ["b"]


def test_limits_are_passed_on_only_where_they_are_given(fleet: Fleet) -> None:
    put(fleet)
    put(fleet, max_tokens=9, temperature=0.0)
    first, second = (body for _, body in Endpoint.asked)
    assert {"max_tokens", "temperature"}.isdisjoint(first)
    assert (second["max_tokens"], second["temperature"]) == (9, 0.0)


# --- turns -----------------------------------------------------------------------------------------


def test_a_conversation_sends_what_was_said_and_no_thoughts(fleet: Fleet) -> None:
    with conversation(fleet.hosts.values(), fleet.access, AskOptions()) as talk:
        Endpoint.script = [event({"reasoning": "hm"}), event({"content": "one"}, "stop"), "[DONE]"]
        talk.say("first")
        talk.say("second")
    roles = [(turn["role"], turn["content"]) for turn in Endpoint.asked[-1][1]["messages"]]
    assert roles == [("user", "first"), ("assistant", "one"), ("user", "second")]


def test_a_turn_that_failed_is_forgotten_and_one_that_was_stopped_is_kept(fleet: Fleet) -> None:
    def stops(event: Event) -> None:
        raise KeyboardInterrupt

    with conversation(fleet.hosts.values(), fleet.access, AskOptions()) as talk:
        Endpoint.script = HELLO[:2]
        with pytest.raises(HostFailed, match="broke off"):
            talk.say("failed")
        Endpoint.script = [*HELLO, "[DONE]"]
        with pytest.raises(KeyboardInterrupt):
            talk.say("stopped", stops)
        talk.say("last")
    roles = [(turn["role"], turn["content"]) for turn in Endpoint.asked[-1][1]["messages"]]
    assert roles == [("user", "stopped"), ("assistant", "hel"), ("user", "last")]


# --- what cannot be asked --------------------------------------------------------------------------


def test_what_the_endpoint_said_instead_is_told_with_a_way_on(fleet: Fleet) -> None:
    Endpoint.status, Endpoint.script = 500, b"dead"
    with pytest.raises(HostFailed, match="HTTP 500: dead") as caught:
        put(fleet)
    assert f"r1fleet logs {NAME}" in str(caught.value)


def test_a_stopped_deployment_is_not_asked(fleet: Fleet) -> None:
    stop(fleet.hosts.values(), fleet.access, lambda event: None, NAME)
    with pytest.raises(HostFailed, match=f"{NAME} has stopped") as caught:
        put(fleet)
    assert f"r1fleet launch {NAME}" in str(caught.value)


def test_of_several_deployments_the_one_that_has_not_ended_is_meant(fleet: Fleet) -> None:
    plan = rehearsal([("a", "127.0.0.1")], name="other", port=1)
    options = LaunchOptions(hosts=fleet.hosts, interval=0.01, detach=True)
    launch(plan, fleet.access, lambda event: None, options)
    with pytest.raises(UsageError, match="several deployments are on these hosts: rehearsal, other"):
        put(fleet)
    stop(fleet.hosts.values(), fleet.access, lambda event: None, "other")
    assert put(fleet).text == "hello"


def test_a_replica_that_is_not_there_is_refused(fleet: Fleet) -> None:
    assert put(fleet, replica=0).text == "hello"
    with pytest.raises(UsageError, match="has no replica 3"):
        put(fleet, replica=3)


def test_generate_is_refused_where_the_engine_has_none(fleet: Fleet) -> None:
    with (
        conversation(fleet.hosts.values(), fleet.access, AskOptions()) as talk,
        pytest.raises(UsageError, match="vllm has no /generate"),
    ):
        talk.generate("Once")


def test_a_leader_that_is_away_is_unreachable_and_nothing_else_is_tried() -> None:
    fleet = Fleet("a", "b")
    started(fleet, port=1)["a"].away = True
    with pytest.raises((HostUnreachable, UsageError)):
        put(fleet)


# --- as text ---------------------------------------------------------------------------------------


def spoken(*said: Said, colour: bool = False) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    speech = Speech(out, err, colour=colour)
    for event in said:
        speech(event)
    speech.end()
    return out.getvalue(), err.getvalue()


def test_a_pipe_gets_the_words_alone() -> None:
    said = (Said("r1", "hm", True), Said("r1", "yes"), Said("r1", " no"))
    assert spoken(*said) == ("yes no\n", "thinking: hm\n\n")
    assert spoken(*said, colour=True)[1] == "\x1b[2mthinking: hm\x1b[0m\n\n"


def test_no_answer_commands_the_terminal() -> None:
    assert spoken(Said("r1", "\x1b"), Said("r1", "[2Jhi"))[0] == "\\x1b[2Jhi\n"


def test_an_answer_that_was_cut_off_says_so() -> None:
    answer = Answer("a", "", "tiny", 2.0, 1.0, 101, "length", "http://x")
    assert figures(answer) == (
        "tiny at http://x, 2.0 s, 101 tokens, first after 1.0 s, then 100 a second, "
        "cut off at the length limit (--max-tokens)"
    )
