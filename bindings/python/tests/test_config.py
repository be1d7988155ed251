"""`argpick.Config`: names, defaults, ranges, equality, pickles."""

import dataclasses
import json
import pickle
import re

import numpy as np
import pytest
from conftest import REPOSITORY

import argpick
from argpick import _argpick


def struct_fields(name: str) -> list[str]:
    header = (REPOSITORY / "include" / "argpick.h").read_text()
    body = re.search(rf"typedef struct {name} \{{(.*?)\}} {name};", header, re.S)
    assert body
    lines = [line.strip() for line in body[1].splitlines()]
    return [re.split(r"[ *]", line.rstrip(";"))[-1] for line in lines if line and not line.startswith("//")]


def test_the_fields_are_those_of_c() -> None:
    fields = [field.name for field in dataclasses.fields(argpick.Config)]
    in_c = [name for name in struct_fields("argpick_config") if name not in ("struct_size", "reserved0")]
    assert sorted(fields) == sorted(in_c) == sorted(_argpick._parameter_names())
    assert sorted(argpick.ConfigFields.__annotations__) == sorted(fields)


def test_the_fields_of_a_pick_are_those_of_c() -> None:
    in_c = [name for name in struct_fields("argpick_pick") if name != "struct_size"]
    assert sorted(argpick.Pick(0, 0).to_dict()) == sorted(in_c)


def test_the_defaults_are_the_librarys() -> None:
    assert argpick.Decoder(4).config == argpick.Config()
    assert repr(argpick.Config()) == "Config()"


def test_what_was_written_comes_back() -> None:
    config = argpick.Config(temperature=0.1, top_p=np.float32(0.3), min_p=np.float64(0.05), top_k=np.int64(7), metrics="rank")
    assert (config.temperature, config.top_p, config.min_p, config.top_k) == (0.1, 0.3, 0.05, 7)
    assert argpick.Decoder(9, config).config == config
    assert argpick.Config(temperature=0.123456789) == argpick.Config(temperature=0.12345679)
    assert argpick.Config(temperature=0.123456789) == argpick.Config(temperature=float(np.float32(0.123456789)))
    assert hash(config) == hash(pickle.loads(pickle.dumps(config))) and pickle.loads(pickle.dumps(config)) == config
    assert eval(repr(config), {"Config": argpick.Config}) == config
    assert argpick.Config(**json.loads(json.dumps(config.to_dict()))) == config
    assert config.to_dict(defaults=False) == {
        "temperature": 0.1, "top_p": 0.3, "min_p": 0.05, "top_k": 7, "metrics": 8
    }  # fmt: skip
    odd = argpick.Config(seed=2**64 - 1, top_k=2**32 - 1, keep_ties=True, mirostat="two", metrics=["kept", "flip"])
    assert odd.metrics is argpick.Metrics.KEPT | argpick.Metrics.FLIP and odd.mirostat is argpick.Mirostat.TWO
    assert argpick.Decoder(4, odd).config == odd and eval(repr(odd), {"Config": argpick.Config}) == odd


def test_every_field_reaches_the_decoder() -> None:
    values = {"keep_ties": True, "top_p": 0.5, "typical_p": 0.5, "tfs_z": 0.5, "temperature": 0.5, "dry_base": 2.5}
    for field in dataclasses.fields(argpick.Config):
        value = values.get(field.name, 1 if isinstance(field.default, int) else 0.25)
        config = argpick.Config(**{field.name: value})
        assert getattr(config, field.name) == value != field.default
        assert argpick.Decoder(4, config).config == config


def test_replace_and_immutability() -> None:
    config = argpick.Config(top_k=4)
    assert config.replace(top_k=5, mode="greedy") == argpick.Config(top_k=5, mode=argpick.Mode.GREEDY)
    assert dataclasses.replace(config, top_k=5) == argpick.Config(top_k=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.top_k = 5  # type: ignore[misc]
    with pytest.raises(TypeError, match="topk"):
        config.replace(topk=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        argpick.Config(1)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1), ("temperature", float("nan")), ("temperature", float("inf")), ("temperature", 1e39),
        ("top_p", 1.1), ("top_p", -1), ("min_p", 2), ("top_k", -1), ("top_k", 1.5), ("top_k", 2**32), ("seed", -1),
        ("seed", 2**64), ("mode", 2), ("profile", 4), ("metrics", 256), ("metrics", -1), ("mirostat", 3), ("mode", "fast"),
        ("metrics", "speed"), ("keep_ties", 2), ("dry_base", 0.5), ("history_capacity", 2**24 + 1), ("top_k", 10**400),
    ],
)  # fmt: skip
def test_a_value_outside_its_range_is_named(name: str, value: object) -> None:
    with pytest.raises(argpick.InvalidParameter) as caught:
        argpick.Config(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name and name in str(caught.value)
    assert caught.value.status is argpick.Status.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_k", "4"), ("temperature", "hot"), ("temperature", None), ("seed", 1.0), ("mode", 1.0), ("metrics", 1.5), ("seed", "7")],
)
def test_a_value_of_the_wrong_type_is_named(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        argpick.Config(**{name: value})  # type: ignore[arg-type]


def test_profiles_refuse_what_their_engine_lacks() -> None:
    with pytest.raises(argpick.NotInProfile) as caught:
        argpick.Decoder(4, profile="vllm", typical_p=0.5)
    assert caught.value.name == "typical_p"


def test_unknown_keys_of_a_file() -> None:
    with pytest.raises(TypeError, match="topk, heat"):
        argpick.Config.from_dict({"topk": 1, "heat": 2, "top_k": 3})
    with pytest.raises(TypeError, match="dict"):
        argpick.Decoder(4, {"top_k": 3})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="topk"):
        argpick.Decoder(4, topk=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("vocab", [0, 2**22 + 1, -1, 10**30])
def test_vocabularies(vocab: int) -> None:
    with pytest.raises(argpick.InvalidParameter) as caught:
        argpick.Decoder(vocab)
    assert caught.value.name == "vocab"
    with pytest.raises(TypeError, match="vocab"):
        argpick.Decoder("many")  # type: ignore[arg-type]
