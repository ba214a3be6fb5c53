"""What ``--from`` may say, and whose tokens go where."""

from __future__ import annotations

import pytest

from r1fleet.errors import UsageError
from r1fleet.weights.sources import Hub, Source, parse_source

HF = Hub("Hugging Face", "huggingface", "https://huggingface.co")
MIRROR = Hub("hf-mirror", "huggingface", "https://hf-mirror.com", trusted=False)
MODELSCOPE = Hub("ModelScope", "modelscope", "https://www.modelscope.cn")


@pytest.mark.parametrize("text", [None, "", "  "])
def test_without_a_source_all_hubs_are_tried_and_the_mirror_is_shown_no_token(text: str | None) -> None:
    assert parse_source(text, {}) == Source(hubs=(HF, MIRROR, MODELSCOPE))


@pytest.mark.parametrize("address", ["https://hf-mirror.com", "https://hf-mirror.com/", "hf-mirror.com"])
def test_a_mirror_that_the_user_has_set_takes_the_first_place_and_is_trusted(address: str) -> None:
    chosen = Hub("hf-mirror", "huggingface", "https://hf-mirror.com")
    assert parse_source(None, {"HF_ENDPOINT": address}) == Source(hubs=(chosen, MODELSCOPE))
    assert parse_source("hf", {"HF_ENDPOINT": address}) == Source(hubs=(chosen,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf", Source(hubs=(HF,))),
        ("hf-mirror", Source(hubs=(Hub("hf-mirror", "huggingface", "https://hf-mirror.com"),))),
        ("modelscope", Source(hubs=(MODELSCOPE,))),
        ("modelscope,hf", Source(hubs=(MODELSCOPE, HF))),
        ("http://10.0.0.1:8080/", Source(hubs=(Hub("10.0.0.1:8080", "huggingface", "http://10.0.0.1:8080"),))),
        ("modelscope+http://m.lan", Source(hubs=(Hub("m.lan", "modelscope", "http://m.lan"),))),
        ("/data/R1", Source(folder="/data/R1")),
        ("./R1", Source(folder="./R1")),
        ("~/R1", Source(folder="~/R1")),
        ("dir:R1", Source(folder="R1")),
        ("cache", Source(folder="/c/huggingface/hub")),
        ("cache:/other/hub", Source(folder="/other/hub")),
        ("drop:/mnt/c/Downloads", Source(hubs=(HF, MIRROR, MODELSCOPE), drop="/mnt/c/Downloads")),
    ],
)
def test_each_kind_of_source_has_its_word(text: str, expected: Source) -> None:
    assert parse_source(text, {"XDG_CACHE_HOME": "/c"}) == expected


@pytest.mark.parametrize("text", ["huggingface", "hf,", "drop:", "dir: ", "ftp://x.org/m", "https://", "R1"])
def test_what_is_no_source_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_source(text, {})
    assert refused.value.hint


@pytest.mark.parametrize("scheme", ["https", "ftp"])
def test_a_password_in_an_address_is_refused_without_being_repeated(scheme: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_source(f"{scheme}://me:hf_secret@hub.lan", {})
    assert "hf_secret" not in str(refused.value)
    assert "HF_TOKEN" in str(refused.value)
