"""What other samplers need for the same shapes on the same GPU, in the same run as benches/cuda/measure.cu.

    python3 benches/cuda/peers.py [--quick] [--ours measure.jsonl]

Each call is captured in a CUDA graph once for each set of rows, so that launches cost the peers what they cost argpick; what
cannot be captured is timed with launches and marked. The sets are so many that the cache does not hold them. Without --ours the
floor is torch.amax of the same rows. What is not installed, or does not run here, is printed as skipped.
"""

import argparse
import importlib
import json
import sys
import time

SHAPES = [(1, 32000), (32, 32000), (256, 32000), (1, 128256), (32, 128256), (256, 128256), (1, 262144), (32, 262144), (256, 262144)]
DEADLINE = 90.0


def skip(what):
    print(f"skipped: {what}", flush=True)


def torch_peers(torch):
    def multinomial(z):
        return torch.multinomial(torch.softmax(z, dim=-1), 1)

    def top_k(z):
        values, tokens = torch.topk(z, 50, dim=-1)
        return tokens.gather(-1, torch.multinomial(torch.softmax(values, dim=-1), 1))

    def top_p(z):
        values, tokens = torch.sort(z, dim=-1, descending=True)
        p = torch.softmax(values, dim=-1)
        p = torch.where(torch.cumsum(p, dim=-1) - p > 0.9, 0.0, p)
        return tokens.gather(-1, torch.multinomial(p, 1))

    def min_p(z):
        p = torch.softmax(z, dim=-1)
        return torch.multinomial(torch.where(p < 0.05 * p.amax(dim=-1, keepdim=True), 0.0, p), 1)

    return [
        ("floor: torch.amax", None, lambda z: torch.amax(z, dim=-1)),
        ("torch argmax", "greedy", lambda z: torch.argmax(z, dim=-1)),
        ("torch softmax + multinomial", "full", multinomial),
        ("torch topk + multinomial", "top-k 50", top_k),
        ("torch sort, top-p, multinomial", "top-p 0.9", top_p),
        ("torch min-p + multinomial", "min-p 0.05", min_p),
        ("torch log_softmax", "full, logprob", lambda z: torch.log_softmax(z, dim=-1)),
    ]


def flashinfer_peers(torch):
    sampling = importlib.import_module("flashinfer.sampling")
    return [
        ("FlashInfer sampling_from_logits", "full", lambda z: sampling.sampling_from_logits(z)),
        ("FlashInfer top_k_sampling", "top-k 50", lambda z: sampling.top_k_sampling_from_probs(torch.softmax(z, -1), 50)),
        ("FlashInfer top_p_sampling", "top-p 0.9", lambda z: sampling.top_p_sampling_from_probs(torch.softmax(z, -1), 0.9)),
        ("FlashInfer min_p_sampling", "min-p 0.05", lambda z: sampling.min_p_sampling_from_probs(torch.softmax(z, -1), 0.05)),
        ("FlashInfer top_k_top_p", "k 50, p 0.9", lambda z: sampling.top_k_top_p_sampling_from_logits(z, 50, 0.9)),
    ]


def vllm_peers(torch):
    found = []
    try:
        gumbel = importlib.import_module("vllm.v1.worker.gpu.sample.gumbel").gumbel_sample

        def full(z):
            rows = z.shape[0]
            return gumbel(z, torch.arange(rows, device=z.device, dtype=torch.int32), torch.ones(rows, device=z.device),
                          torch.zeros(rows, device=z.device, dtype=torch.int64), torch.zeros(rows, device=z.device, dtype=torch.int64), True)

        found.append(("vLLM gumbel_sample (Triton)", "full", full))
    except Exception as error:  # an import may fail in any way
        skip(f"vLLM gumbel_sample: {type(error).__name__}: {error}")
    try:
        filters = importlib.import_module("vllm.v1.sample.ops.topk_topp_triton").apply_top_k_top_p_triton

        def filtered(z, k, p):
            rows = z.shape[0]
            k = None if k is None else torch.full((rows,), k, device=z.device, dtype=torch.int32)
            p = None if p is None else torch.full((rows,), p, device=z.device)
            return filters(z.clone(), k, p)

        found.append(("vLLM top-k (Triton), copy of the row in it", "top-k 50", lambda z: filtered(z, 50, None)))
        found.append(("vLLM top-p (Triton), copy of the row in it", "top-p 0.9", lambda z: filtered(z, None, 0.9)))
    except Exception as error:
        skip(f"vLLM apply_top_k_top_p_triton: {type(error).__name__}: {error}")
    return found


def measure(torch, run, sets, replays):
    """Microseconds of a call, and whether it was in a graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for rows in sets[:3]:
            run(rows)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        kept = []
        try:
            with torch.cuda.graph(graph, stream=stream):
                for rows in sets:
                    kept = run(rows)
            step = graph.replay
            captured = True
        except Exception:
            torch.cuda.synchronize()
            captured = False

            def step():
                for rows in sets:
                    run(rows)

        times = []
        for replay in range(replays + 2):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record(stream)
            step()
            end.record(stream)
            end.synchronize()
            if replay >= 2:
                times.append(1e3 * begin.elapsed_time(end) / len(sets))
        del kept
        return min(times), captured


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ours")
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        import torch
    except ImportError:
        skip("peers: PyTorch is not installed")
        return 0
    if not torch.cuda.is_available():
        skip("peers: PyTorch sees no GPU")
        return 0
    ours = {}
    if options.ours:
        with open(options.ours) as lines:
            for line in map(json.loads, lines):
                if line["dtype"] == "f32" and line["kind"] == "normal":
                    ours[line["rows"], line["vocab"], line["operation"]] = line
    peers = torch_peers(torch)
    for name, make in [("FlashInfer", flashinfer_peers), ("vLLM", vllm_peers)]:
        try:
            peers += make(torch)
        except Exception as error:
            skip(f"{name}: {type(error).__name__}: {error}")
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name(0)}. us is the least of the replays, of a call in a CUDA graph; "
          "`*`: not in one.\n")
    print("| rows x vocab | peer | us | x floor | argpick, same rows' shape | us | peer / argpick |")
    print("|:--|:--|--:|--:|:--|--:|--:|")
    for rows, vocab in SHAPES:
        count = max(4, min(16 if options.quick else 128, (256 << 20) // (rows * vocab * 4)))
        generator = torch.Generator(device="cuda").manual_seed(vocab + rows)
        sets = [torch.randn((rows, vocab), device="cuda", generator=generator).mul_(2.5) for _ in range(count)]
        floor = None
        for name, operation, run in peers:
            if time.monotonic() - begun > DEADLINE:
                skip(f"{rows} x {vocab}, {name}: no time is left")
                continue
            own = ours.get((rows, vocab, operation))
            try:
                # Slow ones get fewer sets.
                some = sets if rows * vocab < 1 << 24 else sets[:8]
                found, captured = measure(torch, run, some, 3 if options.quick else 7)
            except Exception as error:
                skip(f"{rows} x {vocab}, {name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                continue
            if floor is None:
                floor = next((line["floor"] for (r, v, _), line in ours.items() if (r, v) == (rows, vocab)), found)
            mark = "" if captured else "*"
            beside = f"{operation} | {own['us']:.2f} | {found / own['us']:.1f}" if own else " | |"
            print(f"| {rows} x {vocab} | {name}{mark} | {found:.2f} | {found / floor:.2f} | {beside} |", flush=True)
        del sets
        torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())
