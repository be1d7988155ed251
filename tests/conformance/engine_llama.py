"""llama.cpp's samplers by ctypes on libllama, without a model."""

import ctypes
import pathlib

import numpy

TOKEN = numpy.dtype([("id", numpy.int32), ("logit", numpy.float32), ("p", numpy.float32)])


class Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    ]


class Vector(ctypes.Structure):
    """std::vector as libstdc++ lays it out."""

    _fields_ = [("begin", ctypes.c_void_p), ("end", ctypes.c_void_p), ("room", ctypes.c_void_p)]


class Bias(ctypes.Structure):
    _fields_ = [("token", ctypes.c_int32), ("bias", ctypes.c_float)]


class Sampler(ctypes.Structure):
    _fields_ = [("iface", ctypes.c_void_p), ("ctx", ctypes.c_void_p)]


def load(folder):
    lib = ctypes.CDLL(str(pathlib.Path(folder) / "libllama.so"))
    i32, u32, size, f32 = ctypes.c_int32, ctypes.c_uint32, ctypes.c_size_t, ctypes.c_float
    signatures = {
        "llama_sampler_init_top_k": [i32],
        "llama_sampler_init_top_p": [f32, size],
        "llama_sampler_init_min_p": [f32, size],
        "llama_sampler_init_typical": [f32, size],
        "llama_sampler_init_temp": [f32],
        "llama_sampler_init_temp_ext": [f32, f32, f32],
        "llama_sampler_init_xtc": [f32, f32, size, u32],
        "llama_sampler_init_top_n_sigma": [f32],
        "llama_sampler_init_mirostat": [i32, u32, f32, f32, i32],
        "llama_sampler_init_mirostat_v2": [u32, f32, f32],
        "llama_sampler_init_penalties": [i32, i32, f32, f32, f32],
        "llama_sampler_init_adaptive_p": [f32, f32, u32],
        "llama_sampler_init_logit_bias": [i32, i32, ctypes.POINTER(Bias)],
        "llama_sampler_init_dist": [u32],
        # llama_sampler_init_dry_testing(float, float, int, int, const std::vector<std::vector<int>> &)
        "_Z30llama_sampler_init_dry_testingffiiRKSt6vectorIS_IiSaIiEESaIS1_EE": [f32, f32, i32, i32, ctypes.c_void_p],
    }
    for name, arguments in signatures.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = arguments, ctypes.POINTER(Sampler)
    for name, arguments in {
        "llama_sampler_apply": [ctypes.POINTER(Sampler), ctypes.POINTER(Array)],
        "llama_sampler_accept": [ctypes.POINTER(Sampler), i32],
        "llama_sampler_free": [ctypes.POINTER(Sampler)],
    }.items():
        getattr(lib, name).argtypes, getattr(lib, name).restype = arguments, None
    silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    lib.llama_log_set(silent, None)
    lib.kept_alive = silent
    return lib


def breakers(lib, multiplier, base, allowed, window, lists):
    arrays = [(ctypes.c_int32 * len(b))(*b) for b in lists]
    inner = (Vector * max(1, len(lists)))()
    for vector, array in zip(inner, arrays):
        vector.begin = ctypes.addressof(array)
        vector.end = vector.room = vector.begin + ctypes.sizeof(array)
    outer = Vector(
        ctypes.addressof(inner),
        ctypes.addressof(inner) + len(lists) * ctypes.sizeof(Vector),
        ctypes.addressof(inner) + len(lists) * ctypes.sizeof(Vector),
    )
    make = lib._Z30llama_sampler_init_dry_testingffiiRKSt6vectorIS_IiSaIiEESaIS1_EE
    return make(multiplier, base, allowed, window, ctypes.addressof(outer))


class Chain:
    """The samplers of common/sampling.cpp in their default order, for one case."""

    def __init__(self, lib, case):
        self.lib, params = lib, case["params"]
        vocab = len(case["logits"]) if "logits" in case else case["row"]["vocab"]
        least = params.get("min_keep", 0)
        tokens = case["prompt"] + case["history"]
        self.samplers = []

        def add(name, *arguments):
            self.samplers.append(getattr(lib, "llama_sampler_init_" + name)(*arguments))

        biases = [(t, float("-inf") if v == "-inf" else v) for t, v in case["bias"]]
        biases += [(t, float("-inf")) for t in case["bans"]]
        if biases:
            add("logit_bias", vocab, len(biases), (Bias * len(biases))(*biases))
        self.picker = None
        if "mirostat" in params:
            tau, eta = params.get("mirostat_tau", 5.0), params.get("mirostat_eta", 0.1)
            add("temp", params.get("temperature", 1.0))
            if params["mirostat"] == 1:
                add("mirostat", vocab, case["engine_seed"], tau, eta, 100)
            else:
                add("mirostat_v2", case["engine_seed"], tau, eta)
            self.picker = self.samplers[-1]
            return
        penalties = [params.get(n, d) for n, d in
                     (("repetition_penalty", 1.0), ("frequency_penalty", 0.0), ("presence_penalty", 0.0))]  # fmt: skip
        if penalties != [1.0, 0.0, 0.0]:
            add("penalties", vocab, params.get("penalty_window", 0) or 4096, *penalties)
        if "dry_multiplier" in params:
            self.samplers.append(
                breakers(
                    lib,
                    params["dry_multiplier"],
                    params.get("dry_base", 1.75),
                    params.get("dry_allowed_length", 2),
                    params.get("dry_window", 0) or 4096,
                    case["breakers"],
                )
            )
        for sampler in self.samplers:
            for token in tokens:
                lib.llama_sampler_accept(sampler, token)
        if "top_n_sigma" in params:
            add("top_n_sigma", params["top_n_sigma"])
        if "top_k" in params:
            add("top_k", params["top_k"])
        if "typical_p" in params:
            add("typical", params["typical_p"], least)
        if "top_p" in params:
            add("top_p", params["top_p"], least)
        if "min_p" in params:
            add("min_p", params["min_p"], least)
        if "xtc_probability" in params:
            add("xtc", params["xtc_probability"], params.get("xtc_threshold", 0.1), least, 1)
        if "temperature" in params or "dynatemp_range" in params:
            add("temp_ext", params.get("temperature", 1.0), params.get("dynatemp_range", 0.0),
                params.get("dynatemp_exponent", 1.0))  # fmt: skip
        if "adaptive_target" in params:
            add("adaptive_p", params["adaptive_target"], params.get("adaptive_decay", 0.9), case["engine_seed"])
            self.picker = self.samplers[-1]

    def run(self, row):
        """Final logits (-inf for what is gone), and the id that a picking sampler picked."""
        data = numpy.zeros(len(row), dtype=TOKEN)
        data["id"] = numpy.arange(len(row))
        data["logit"] = row
        array = Array(data.ctypes.data, len(row), -1, False)
        for sampler in self.samplers:
            self.lib.llama_sampler_apply(sampler, ctypes.byref(array))
        first = (array.data - data.ctypes.data) // TOKEN.itemsize
        left = data[first : first + array.size]
        final = numpy.full(len(row), -numpy.inf, dtype=numpy.float32)
        final[left["id"]] = left["logit"]
        return final, int(left["id"][array.selected]) if array.selected >= 0 else None

    def accept(self, token):
        self.lib.llama_sampler_accept(self.picker, token)

    def mu(self, version):
        """Mirostat's state: after its seeds and constants in llama-sampler.cpp of the pinned version."""
        offset = 24 if version == 1 else 16
        return ctypes.c_float.from_address(self.picker.contents.ctx + offset).value

    def mean(self):
        """Adaptive-p's state: after four words and a Mersenne twister of 5,000 bytes."""
        pair = (ctypes.c_float * 2).from_address(self.picker.contents.ctx + 16 + 5000)
        return pair[0] / pair[1]

    def close(self):
        for sampler in self.samplers:
            self.lib.llama_sampler_free(sampler)
