"""vLLM's sampling functions, loaded file by file from an unpacked wheel.

The package needs a device and a hundred dependencies; these functions need torch. Everything that is not on the list is an
empty stand-in, and only functions that do not touch a stand-in are called.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import pathlib
import re
import sys
import types
from unittest import mock

REAL = {
    "vllm._custom_ops",
    "vllm.utils.torch_utils",
    "vllm.sampling_params",
    "vllm.exceptions",
    "vllm.model_executor.layers.utils",
    "vllm.v1.sample.ops.bad_words",
    "vllm.v1.sample.ops.penalties",
    "vllm.v1.sample.ops.topk_topp_sampler",
    "vllm.v1.sample.logits_processor.builtin",
    "vllm.v1.sample.logits_processor.interface",
}


class StandIn(types.ModuleType):
    """A module in which every name exists and does nothing."""

    HAS_TRITON = False
    PIN_MEMORY = False
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = mock.MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, root):
        self.root = pathlib.Path(root)

    def find_spec(self, name, path=None, target=None):
        if name != "vllm" and not name.startswith("vllm."):
            return None
        if name in REAL:
            file = self.root / (name.replace(".", "/") + ".py")
            return importlib.util.spec_from_file_location(name, file)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = StandIn(spec.name)
        if spec.name == "vllm.platforms":
            module.current_platform.dispatch_key = "CPU"
            module.current_platform.is_cpu.return_value = True
        if spec.name == "vllm.v1.serial_utils":
            module.PydanticMsgspecMixin = type("PydanticMsgspecMixin", (), {})
        return module

    def exec_module(self, module):
        pass


def load(root):
    """The functions of the wheel unpacked at `root`."""
    version = (pathlib.Path(root) / "vllm" / "_version.py").read_text()
    assert re.search(r"version = ['\"]0\.33\.0['\"]", version), version
    sys.meta_path.insert(0, Finder(root))
    module = importlib.import_module
    # No device here, so no memory that a device could read.
    module("vllm.utils.torch_utils").PIN_MEMORY = False
    module("vllm.envs").VLLM_MAX_N_SEQUENCES = 16384
    return types.SimpleNamespace(
        bad_words=module("vllm.v1.sample.ops.bad_words"),
        penalties=module("vllm.v1.sample.ops.penalties"),
        topk_topp=module("vllm.v1.sample.ops.topk_topp_sampler"),
        builtin=module("vllm.v1.sample.logits_processor.builtin"),
        params=module("vllm.sampling_params"),
    )


def run(engine, case, row):
    """The final logits by vLLM's functions, in the order of its Sampler."""
    import torch

    params = case["params"]
    bias = {token: float("-inf") if value == "-inf" else float(value) for token, value in case["bias"]}
    # The front end's own checks: it clamps biases, raises small temperatures, and turns tiny ones into greedy.
    request = engine.params.SamplingParams.from_optional(
        temperature=params.get("temperature", 1.0),
        top_k=params.get("top_k", 0),
        top_p=params.get("top_p", 1.0),
        min_p=params.get("min_p", 0.0),
        repetition_penalty=params.get("repetition_penalty", 1.0),
        frequency_penalty=params.get("frequency_penalty", 0.0),
        presence_penalty=params.get("presence_penalty", 0.0),
        min_tokens=params.get("min_tokens", 0),
        max_tokens=None,
        stop_token_ids=case["end_tokens"] or None,
        logit_bias=bias or None,
    )
    logits = torch.from_numpy(row.copy())[None, :]
    vocab = len(row)
    if case["bans"]:
        allowed = torch.zeros(1, vocab, dtype=torch.bool)
        allowed[0, case["bans"]] = True
        logits.masked_fill_(allowed, float("-inf"))
    if case["allowed"]:
        # `allowed_token_ids`: the worker keeps a mask of what is not in the list.
        masked = torch.ones(1, vocab, dtype=torch.bool)
        masked[0, case["allowed"]] = False
        logits.masked_fill_(masked, float("-inf"))
    if case["bad_sequences"]:
        engine.bad_words.apply_bad_words(logits, {0: case["bad_sequences"]}, [case["history"]])
    update = sys.modules["vllm.v1.sample.logits_processor.interface"].BatchUpdate(
        batch_size=1, removed=[], added=[(0, request, case["prompt"], case["history"])], moved=[]
    )
    device = torch.device("cpu")
    limits = types.SimpleNamespace(scheduler_config=types.SimpleNamespace(max_num_seqs=1))
    for kind in (engine.builtin.MinTokensLogitsProcessor, engine.builtin.LogitBiasLogitsProcessor):
        processor = kind(limits, device, False)
        processor.update_state(update)
        logits = processor.apply(logits)
    if (request.repetition_penalty, request.frequency_penalty, request.presence_penalty) != (1.0, 0.0, 0.0):
        engine.penalties.apply_all_penalties(
            logits,
            torch.tensor([case["prompt"]], dtype=torch.int64),
            torch.tensor([request.presence_penalty]),
            torch.tensor([request.frequency_penalty]),
            torch.tensor([request.repetition_penalty]),
            [case["history"]],
        )
    if request.temperature < 1.0e-5:
        greedy = torch.full_like(logits, float("-inf"))
        best = logits.argmax(dim=-1)
        greedy[0, best] = logits[0, best]
        return greedy[0].numpy()
    logits.div_(torch.tensor([request.temperature]).unsqueeze(dim=1))
    processor = engine.builtin.MinPLogitsProcessor(limits, device, False)
    processor.update_state(update)
    logits = processor.apply(logits)
    k = torch.tensor([min(request.top_k, vocab)]) if request.top_k > 0 else None
    p = torch.tensor([request.top_p]) if request.top_p < 1.0 else None
    return engine.topk_topp.apply_top_k_top_p_pytorch(logits, k, p)[0].numpy()
