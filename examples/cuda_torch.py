"""A serving loop in PyTorch: the model's logits stay where they are, argpick picks the tokens on the same stream.

    ARGPICK_FEATURES=cuda bindings/c/install.sh PREFIX
    ARGPICK_LIBRARY=PREFIX/lib/libargpick.so python3 examples/cuda_torch.py

Nothing is copied but the tokens: every tensor is handed over by its data_ptr(). The structs are those of argpick.h. Without
a GPU it says so and decodes the same sequences on the CPU; without PyTorch, likewise: the tokens are the same.
"""

import ctypes as C
import os
import sys

VOCAB, ROWS, STEPS, CAPACITY = 1000, 8, 12, 32
RECORD = 1  # ARGPICK_CUDA_RECORD


def struct(name, fields):
    """A C struct from "type: names" lines."""
    kinds = {"u64": C.c_uint64, "u32": C.c_uint32, "f32": C.c_float}
    pairs = [(field, kinds[kind]) for kind, names in fields for field in names.split()]
    return type(name, (C.Structure,), {"_fields_": pairs})


Row = struct("argpick_cuda_row", [
    ("u64", "seed stream position mask history biases bans history_recorded"),
    ("u32", "history_capacity mask_words bias_count ban_count valid_vocab mode"), ("f32", "temperature"), ("u32", "top_k"),
    ("f32", "top_p min_p typical_p repetition_penalty frequency_penalty presence_penalty"),
    ("u32", "penalty_window penalty_generated metrics skip"),
])
Pick = struct("argpick_cuda_pick", [
    ("u32", "status index"), ("f32", "value"), ("u32", "token argmax rank kept"),
    ("f32", "margin top1_probability entropy logprob_raw logprob kept_mass temperature"),
])
Batch = struct("argpick_cuda_batch", [
    ("u32", "struct_size dtype"), ("u64", "logits row_stride rows picks workspace workspace_size stream"),
    ("u32", "row_count vocab flags features adjustment_capacity reserved0"),
])
# The first release's part of argpick_config: a shorter struct is accepted, what it lacks is off.
Config = struct("argpick_config", [
    ("u32", "struct_size profile"), ("u64", "seed stream"), ("u32", "mode"), ("f32", "temperature"), ("u32", "top_k"),
    ("f32", "top_p min_p"),
    ("u32", "history_capacity no_repeat_window max_tokens min_keep valid_vocab metrics adjustment_capacity"),
])
# argpick_pick of the first release.
CpuPick = struct("argpick_pick", [
    ("u32", "struct_size token argmax rank kept finish"),
    ("f32", "margin top1_probability entropy logprob_raw logprob kept_mass"),
])


def load():
    library = C.CDLL(os.environ.get("ARGPICK_LIBRARY", "libargpick.so"))
    library.argpick_last_error.restype = C.c_char_p
    return library


def check(library, status):
    if status != 0:
        raise RuntimeError(library.argpick_last_error().decode())


def config_of(library, sequence):
    config = Config()
    check(library, library.argpick_config_init(C.byref(config), C.c_uint32(C.sizeof(config))))
    config.seed, config.stream = 2026, sequence
    config.temperature = 0.0 if sequence % 4 == 0 else 0.8
    config.top_k = 50 if sequence % 2 == 0 else 0
    config.top_p = 0.9 if sequence % 2 == 1 else 1.0
    return config


def logits_of(step):
    """Stands for the model: whole numbers over 64, which every float type and machine has exactly."""
    state, rows = step * 97 + 1, []
    for _ in range(ROWS):
        row = []
        for _ in range(VOCAB):
            state = (state * 1103515245 + 12345) % 2147483648
            row.append(float((state >> 16) % 512) / 64.0)
        rows.append(row)
    return rows


def on_the_gpu(library, torch):
    device = torch.device("cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        stream = torch.cuda.current_stream()
        logits = torch.empty((ROWS, VOCAB), dtype=torch.float32, device=device)
        host_rows = (Row * ROWS)()
        histories = torch.zeros((ROWS, CAPACITY), dtype=torch.int32, device=device)
        for i in range(ROWS):
            check(library, library.argpick_cuda_row_init(C.byref(config_of(library, i)), C.c_uint32(VOCAB), C.byref(host_rows[i])))
            host_rows[i].history = histories[i].data_ptr()
            host_rows[i].history_capacity = CAPACITY
        rows = torch.frombuffer(bytearray(host_rows), dtype=torch.uint8).to(device)
        picks = torch.zeros((ROWS, C.sizeof(Pick) // 4), dtype=torch.int32, device=device)

        batch = Batch(
            struct_size=C.sizeof(Batch), dtype=0, logits=logits.data_ptr(), row_stride=logits.stride(0), vocab=VOCAB,
            row_count=ROWS, rows=rows.data_ptr(), picks=picks.data_ptr(), stream=stream.cuda_stream, flags=RECORD,
        )
        needed = C.c_uint64()
        check(library, library.argpick_cuda_plan(C.byref(batch), host_rows, C.c_size_t(ROWS), C.byref(needed)))
        # PyTorch's allocator aligns to 512 bytes, more than is asked for.
        workspace = torch.empty(needed.value, dtype=torch.uint8, device=device)
        batch.workspace, batch.workspace_size = workspace.data_ptr(), needed.value

        tokens = []
        for step in range(STEPS):
            logits.copy_(torch.tensor(logits_of(step)))  # the model's forward pass
            check(library, library.argpick_cuda_decode(C.byref(batch)))
            # The tokens are a column of the picks: the next forward pass can read them without the host.
            statuses, found = picks[:, 0], picks[:, 3]
            if int(statuses.abs().max()) != 0:
                for pick in (Pick * ROWS).from_buffer_copy(picks.cpu().numpy().tobytes()):
                    check(library, library.argpick_cuda_pick_status(C.byref(pick)))
            tokens.append(found.tolist())
        return tokens


def on_the_cpu(library):
    decoders = []
    for i in range(ROWS):
        decoder = C.c_void_p()
        check(library, library.argpick_decoder_new(C.byref(config_of(library, i)), C.c_uint32(VOCAB), C.byref(decoder)))
        decoders.append(decoder)
    tokens = []
    for step in range(STEPS):
        picked = []
        for decoder, row in zip(decoders, logits_of(step)):
            pick = CpuPick(struct_size=C.sizeof(CpuPick))
            values = (C.c_float * VOCAB)(*row)
            check(library, library.argpick_decode(decoder, values, C.c_uint32(0), C.c_size_t(VOCAB), None, C.c_size_t(0), C.byref(pick)))
            picked.append(pick.token)
        tokens.append(picked)
    for decoder in decoders:
        library.argpick_decoder_free(decoder)
    return tokens


def main():
    library = load()
    expected = on_the_cpu(library)
    print(f"CPU: {ROWS} sequences, {STEPS} tokens each; the first: {[step[0] for step in expected]}")
    count, driver = C.c_uint32(), C.c_uint32()
    if library.argpick_cuda_devices(C.byref(count), C.byref(driver)) != 0:
        print(f"No GPU is used: {library.argpick_last_error().decode()}")
        return 0
    try:
        import torch
    except ImportError:
        print("No GPU is used: PyTorch is not installed")
        return 0
    if not torch.cuda.is_available():
        print("No GPU is used: this PyTorch has no CUDA")
        return 0
    found = on_the_gpu(library, torch)
    same = found == expected
    print(f"GPU: the tokens are {'the same' if same else f'not the same: {found}'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
