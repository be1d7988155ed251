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
