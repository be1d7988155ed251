"""Everything that C can do, Python can: each function, constant and struct of include/argpick.h has its Python form here, or
the reason why there is none. A new function of the header fails this test until it has one."""

import re
from functools import reduce
from typing import Any

from conftest import REPOSITORY

import argpick
from argpick import sandbox

HEADER = (REPOSITORY / "include" / "argpick.h").read_text()

NO_MEMORY = "none: memory is Python's own"
ON_DEVICE = "none: the wheel has no CUDA path; PyTorch calls the C library (examples/cuda_torch.py)"

FUNCTIONS = {
    "argpick_abi_version": "none: the extension module contains the library, so no other ABI can meet it",
    "argpick_numerics_version": "NUMERICS_VERSION",
    "argpick_version": "__version__",
    "argpick_status_message": "Status",
    "argpick_last_error": "Error",
    "argpick_error_detail": "Error",
    "argpick_kernel": "kernel",
    "argpick_config_init": "Config",
    "argpick_decoder_new": "Decoder",
    "argpick_decoder_free": NO_MEMORY,
    "argpick_decoder_size": NO_MEMORY,
    "argpick_decoder_init": NO_MEMORY,
    "argpick_decoder_clone": "Decoder.copy",
    "argpick_decoder_reset": "Decoder.reset",
    "argpick_decoder_prompt": "Decoder.prompt",
    "argpick_decoder_accept": "Decoder.accept",
    "argpick_decoder_undo": "Decoder.undo",
    "argpick_decoder_seek": "Decoder.seek",
    "argpick_decoder_position": "Decoder.position",
    "argpick_decoder_mirostat_mu": "Decoder.mirostat_mu",
    "argpick_decoder_adaptive_target": "Decoder.adaptive_target",
    "argpick_decoder_vocab": "Decoder.vocab",
    "argpick_decoder_config": "Decoder.config",
    "argpick_decoder_history": "Decoder.history",
    "argpick_decoder_set_bias": "Decoder.set_bias",
    "argpick_decoder_set_bans": "Decoder.set_bans",
    "argpick_decoder_set_end_tokens": "Decoder.set_end_tokens",
    "argpick_decoder_set_stops": "Decoder.set_stops",
    "argpick_decoder_set_breakers": "Decoder.set_breakers",
    "argpick_decoder_set_bad_sequences": "Decoder.set_bad_sequences",
    "argpick_decoder_set_sequence_bias": "Decoder.set_sequence_bias",
    "argpick_decoder_set_forced": "Decoder.set_forced",
    "argpick_decoder_set_stop_strings": "Decoder.set_stop_strings",
    "argpick_decoder_push_bytes": "Decoder.push_bytes",
    "argpick_decoder_finish": "Decoder.finish",
    "argpick_decoder_saved_size": "none: Decoder.save makes bytes of the right size",
    "argpick_decoder_save": "Decoder.save",
    "argpick_decoder_load": "Decoder.load",
    "argpick_decode": "Decoder.decode",
    "argpick_evaluate": "Decoder.evaluate",
    "argpick_process": "Decoder.process",
    "argpick_probabilities": "Decoder.probabilities",
    "argpick_softmax": "softmax",
    "argpick_decode_batch": "decode_batch",
    "argpick_sweep_words": NO_MEMORY,
    "argpick_sweep": "Decoder.sweep",
    "argpick_top": "Decoder.top",
    "argpick_top_raw": "Decoder.top_raw",
    "argpick_kept": "Decoder.kept",
    "argpick_probability_of": "Decoder.probability_of",
    "argpick_verify": "verify",
    "argpick_stage_name": "Stage.name",
    "argpick_explain": "Decoder.explain",
    "argpick_beam_config_init": "BeamConfig",
    "argpick_beam_new": "BeamSearch",
    "argpick_beam_free": NO_MEMORY,
    "argpick_beam_size": NO_MEMORY,
    "argpick_beam_init": NO_MEMORY,
    "argpick_beam_reset": "BeamSearch.reset",
    "argpick_beam_inspect": "BeamSearch.live",
    "argpick_beam_step": "BeamSearch.step",
    "argpick_beam_tokens": "BeamSearch.beam_tokens",
    "argpick_beam_best": "BeamSearch.hypotheses",
    "argpick_weights_open": "Weights.open",
    "argpick_weights_from_memory": "Weights.from_bytes",
    "argpick_weights_size": NO_MEMORY,
    "argpick_weights_init_from_memory": NO_MEMORY,
    "argpick_weights_new": "Weights",
    "argpick_weights_from_arrays": "Weights.from_arrays",
    "argpick_weights_init_from_arrays": NO_MEMORY,
    "argpick_weights_arrays": "Weights.matrix",
    "argpick_weights_shape": "Weights.shape",
    "argpick_weights_prefetch": "Weights.prefetch",
    "argpick_weights_save": "Weights.save",
    "argpick_weights_free": NO_MEMORY,
    "argpick_logits": "Weights.logits",
    "argpick_decode_sparse": "Decoder.decode_sparse",
    "argpick_evaluate_sparse": "Decoder.evaluate_sparse",
    "argpick_train_step": "Weights.train_step",
    "argpick_score": "score",
    "argpick_score_batch": "score_batch",
    "argpick_diagnose": "Decoder.diagnose",
    "argpick_trace_new": "Recorder",
    "argpick_trace_free": NO_MEMORY,
    "argpick_trace_finish": "Recorder.finish",
    "argpick_trace_state": "Recorder.state",
    "argpick_trace_note": "Recorder.note",
    "argpick_trace_push_bytes": "Recorder.push_bytes",
    "argpick_trace_prompt": "Recorder.prompt",
    "argpick_trace_accept": "Recorder.accept",
    "argpick_trace_undo": "Recorder.undo",
    "argpick_trace_seek": "Recorder.seek",
    "argpick_trace_reset": "Recorder.reset",
    "argpick_trace_set_bias": "Recorder.set_bias",
    "argpick_trace_set_bans": "Recorder.set_bans",
    "argpick_trace_decode": "Recorder.decode",
    "argpick_trace_evaluate": "Recorder.evaluate",
    "argpick_trace_decode_sparse": "Recorder.decode_sparse",
    "argpick_trace_evaluate_sparse": "Recorder.evaluate_sparse",
    "argpick_trace_columns": "Recorder.columns",
    "argpick_field_name": "Difference.field",
    "argpick_replay_new": "Replay",
    "argpick_replay_free": NO_MEMORY,
    "argpick_replay_vocab": "Replay.vocab",
    "argpick_replay_decoder": "Replay.decoder",
    "argpick_replay_next": "Replay.next_step",
    "argpick_replay_check": "Replay.check",
    "argpick_replay_check_sparse": "Replay.check_sparse",
    "argpick_cuda_decode": ON_DEVICE,
    "argpick_cuda_decode_sparse": ON_DEVICE,
    "argpick_cuda_devices": ON_DEVICE,
    "argpick_cuda_pick_status": ON_DEVICE,
    "argpick_cuda_plan": ON_DEVICE,
    "argpick_cuda_row_init": ON_DEVICE,
    "argpick_cuda_score_status": ON_DEVICE,
    "argpick_cuda_train_step": ON_DEVICE,
    "argpick_cuda_train_workspace": ON_DEVICE,
}

STRUCTS = {
    "argpick_config": "Config",
    "argpick_pick": "Pick",
    "argpick_candidate": "CANDIDATE",
    "argpick_drafts": "none: the arguments of argpick.verify",
    "argpick_verified": "Verified",
    "argpick_stage": "Stage",
    "argpick_beam_config": "BeamConfig",
    "argpick_beam_state": "BeamSearch",
    "argpick_beam_continuation": "CONTINUATION",
    "argpick_hypothesis": "Hypothesis",
    "argpick_diagnosis_limits": "none: the arguments of Decoder.diagnose",
    "argpick_diagnosis": "Diagnosis",
    "argpick_step_record": "StepRecord",
    "argpick_difference": "Difference",
    "argpick_cuda_row": ON_DEVICE,
    "argpick_cuda_batch": ON_DEVICE,
    "argpick_cuda_head": ON_DEVICE,
    "argpick_cuda_pick": ON_DEVICE,
    "argpick_cuda_train": ON_DEVICE,
    "argpick_cuda_score": ON_DEVICE,
    "argpick_cuda_bias": ON_DEVICE,
    "argpick_cuda_input": ON_DEVICE,
}


def found(path: str) -> Any:
    return reduce(getattr, path.split("."), argpick)


def check(names: list[str], forms: dict[str, str]) -> None:
    assert sorted(forms) == sorted(set(names))
    for name, form in forms.items():
        if form.startswith("none: "):
            assert len(form) > 15, name
        else:
            assert found(form) is not None, (name, form)


def test_every_function_of_the_header_has_its_python_form() -> None:
    names = re.findall(r"^[a-z][\w \t*]*?\b(argpick_\w+)\(", HEADER, re.M)
    assert len(names) > 90
    check(names, FUNCTIONS)


def test_every_struct_of_the_header_has_its_python_form() -> None:
    check(re.findall(r"^typedef struct (argpick_\w+) \{", HEADER, re.M), STRUCTS)


def test_the_layouts_of_arrays_are_those_of_c() -> None:
    assert argpick.CANDIDATE.itemsize == 12 and argpick.CONTINUATION.itemsize == 16
    for name, kind in (("argpick_candidate", argpick.CANDIDATE), ("argpick_beam_continuation", argpick.CONTINUATION)):
        body = re.search(rf"typedef struct {name} \{{(.*?)\}} {name};", HEADER, re.S)
        assert body
        fields = re.findall(r"^  (\w+) (\w+);", body[1], re.M)
        types = {"uint32_t": "uint32", "float": "float32", "double": "float64"}
        assert [(types[c], field) for c, field in fields] == [(kind[field].name, field) for field in kind.names or ()]


def test_constants() -> None:
    def constant(name: str) -> int:
        value = re.search(rf"#define {name} (\w+)", HEADER)
        assert value
        return 2**32 - 1 if value[1] == "UINT32_MAX" else int(value[1])

    assert constant("ARGPICK_MAX_DRAFT") == argpick.MAX_DRAFT and constant("ARGPICK_ROOT") == argpick.ROOT
    assert constant("ARGPICK_MAX_SIBLINGS") == argpick.MAX_SIBLINGS
    assert constant("ARGPICK_NUMERICS_VERSION") == argpick.NUMERICS_VERSION
    version = ".".join(str(constant(f"ARGPICK_VERSION_{part}")) for part in ("MAJOR", "MINOR", "PATCH"))
    assert version == argpick.__version__


def test_everything_public_has_a_docstring() -> None:
    def missing(thing: Any, path: str) -> list[str]:
        lacking = []
        for name, value in vars(thing).items():
            if name.startswith("_") or not (callable(value) or isinstance(value, property) or hasattr(value, "__get__")):
                continue
            if not (getattr(value, "__doc__", None) or "").strip():
                lacking.append(f"{path}.{name}")
        return lacking

    bare = []
    for module in (argpick, sandbox):
        for name, value in vars(module).items():
            if name.startswith("_") or not getattr(value, "__module__", "").startswith("argpick"):
                continue
            bare += missing(value, name) if isinstance(value, type) else []
            if not (value.__doc__ or "").strip():
                bare.append(name)
    bare = [name for name in bare if not re.match(r"(Config|BeamConfig|Rules|ConfigFields|BeamConfigFields)\.", name)]
    assert bare == []
