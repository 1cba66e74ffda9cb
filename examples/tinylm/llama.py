"""A small decoder in numpy, with its gradients: RMS norm, rotary positions, grouped heads, SwiGLU."""

import json
import struct

import numpy as np

CONFIG = {
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 320,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
WIDTH, LAYERS = CONFIG["hidden_size"], CONFIG["num_hidden_layers"]
HEADS, GROUPS = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
HEAD, HIDDEN, EPSILON = WIDTH // HEADS, CONFIG["intermediate_size"], CONFIG["rms_norm_eps"]


def initial(seed):
    rng = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        return (rng.standard_normal(shape) * scale / np.sqrt(shape[-1])).astype(np.float32)

    w = {
        "model.embed_tokens.weight": rng.standard_normal((256, WIDTH)).astype(np.float32) * 0.1,
        "model.norm.weight": np.ones(WIDTH, np.float32),
        "lm_head.weight": normal(256, WIDTH),
    }
    for layer in range(LAYERS):
        p = f"model.layers.{layer}."
        w[p + "input_layernorm.weight"] = np.ones(WIDTH, np.float32)
        w[p + "post_attention_layernorm.weight"] = np.ones(WIDTH, np.float32)
        w[p + "self_attn.q_proj.weight"] = normal(WIDTH, WIDTH)
        w[p + "self_attn.k_proj.weight"] = normal(GROUPS * HEAD, WIDTH)
        w[p + "self_attn.v_proj.weight"] = normal(GROUPS * HEAD, WIDTH)
        w[p + "self_attn.o_proj.weight"] = normal(WIDTH, WIDTH, scale=0.4)
        w[p + "mlp.gate_proj.weight"] = normal(HIDDEN, WIDTH)
        w[p + "mlp.up_proj.weight"] = normal(HIDDEN, WIDTH)
        w[p + "mlp.down_proj.weight"] = normal(WIDTH, HIDDEN, scale=0.4)
    return w


def norm(x, gain):
    factor = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON)
    return x * factor * gain, factor


def norm_back(dy, x, gain, factor):
    unit = x * factor
    dgain = (dy * unit).reshape(-1, x.shape[-1]).sum(0)
    dunit = dy * gain
    return factor * (dunit - unit * (dunit * unit).mean(-1, keepdims=True)), dgain


def turns(rows):
    angle = np.arange(rows)[:, None] / CONFIG["rope_theta"] ** (np.arange(HEAD // 2) / (HEAD // 2))
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rope(x, cos, sin):
    """x is batch × heads × rows × width; value i turns with value i + width / 2."""
    a, b = np.split(x, 2, -1)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def heads(x, count):
    return x.reshape(*x.shape[:2], count, HEAD).transpose(0, 2, 1, 3)


def flat(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def forward(w, tokens):
    """Logits of batch × rows of tokens, and what the gradients need."""
    rows = tokens.shape[1]
    cos, sin = turns(rows)
    mask = np.triu(np.full((rows, rows), -1e9, np.float32), 1)
    x, kept = w["model.embed_tokens.weight"][tokens], []
    for layer in range(LAYERS):
        p = f"model.layers.{layer}."
        h, f1 = norm(x, w[p + "input_layernorm.weight"])
        q = rope(heads(h @ w[p + "self_attn.q_proj.weight"].T, HEADS), cos, sin)
        k = rope(heads(h @ w[p + "self_attn.k_proj.weight"].T, GROUPS), cos, sin)
        v = heads(h @ w[p + "self_attn.v_proj.weight"].T, GROUPS)
        many = (np.repeat(k, HEADS // GROUPS, 1), np.repeat(v, HEADS // GROUPS, 1))
        scores = q @ many[0].transpose(0, 1, 3, 2) / np.float32(np.sqrt(HEAD)) + mask
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = flat(shares @ many[1])
        y = x + mixed @ w[p + "self_attn.o_proj.weight"].T
        h2, f2 = norm(y, w[p + "post_attention_layernorm.weight"])
        gate, up = h2 @ w[p + "mlp.gate_proj.weight"].T, h2 @ w[p + "mlp.up_proj.weight"].T
        sigmoid = 1 / (1 + np.exp(-gate))
        gated = gate * sigmoid * up
        kept.append((x, h, f1, q, many, shares, mixed, y, h2, f2, gate, up, sigmoid, gated))
        x = y + gated @ w[p + "mlp.down_proj.weight"].T
    h, factor = norm(x, w["model.norm.weight"])
    return h @ w["lm_head.weight"].T, (x, h, factor, kept, cos, sin)


def product_back(g, w, name, dy, x):
    """The gradient of x in x @ w.T; adds that of w."""
    g[name] = dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])
    return dy @ w[name]


def gradients(w, tokens, targets):
    """The mean loss in nats, and its gradients."""
    logits, (x, h, factor, kept, cos, sin) = forward(w, tokens)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    batch, rows = np.indices(targets.shape)
    loss = -np.log(shares[batch, rows, targets] + 1e-9).mean()
    shares[batch, rows, targets] -= 1
    g = {}
    dh = product_back(g, w, "lm_head.weight", shares / np.float32(targets.size), h)
    dx, g["model.norm.weight"] = norm_back(dh, x, w["model.norm.weight"], factor)
    for layer in reversed(range(LAYERS)):
        p = f"model.layers.{layer}."
        x, h, f1, q, (k, v), shares, mixed, y, h2, f2, gate, up, sigmoid, gated = kept[layer]
        dgated = product_back(g, w, p + "mlp.down_proj.weight", dx, gated)
        dgate = dgated * up * sigmoid * (1 + gate * (1 - sigmoid))
        dh2 = product_back(g, w, p + "mlp.gate_proj.weight", dgate, h2)
        dh2 = dh2 + product_back(g, w, p + "mlp.up_proj.weight", dgated * gate * sigmoid, h2)
        name = p + "post_attention_layernorm.weight"
        dnormed, g[name] = norm_back(dh2, y, w[name], f2)
        dy = dx + dnormed
        dmixed = heads(product_back(g, w, p + "self_attn.o_proj.weight", dy, mixed), HEADS)
        dshares = dmixed @ v.transpose(0, 1, 3, 2)
        dscores = shares * (dshares - (dshares * shares).sum(-1, keepdims=True))
        dscores /= np.float32(np.sqrt(HEAD))
        group = (x.shape[0], GROUPS, HEADS // GROUPS, x.shape[1], HEAD)
        dv = (shares.transpose(0, 1, 3, 2) @ dmixed).reshape(group).sum(2)
        dk = (dscores.transpose(0, 1, 3, 2) @ q).reshape(group).sum(2)
        dq = flat(rope(dscores @ k, cos, -sin))
        dh = product_back(g, w, p + "self_attn.q_proj.weight", dq, h)
        dh = dh + product_back(g, w, p + "self_attn.k_proj.weight", flat(rope(dk, cos, -sin)), h)
        dh = dh + product_back(g, w, p + "self_attn.v_proj.weight", flat(dv), h)
        name = p + "input_layernorm.weight"
        dnormed, g[name] = norm_back(dh, x, w[name], f1)
        dx = dy + dnormed
    table = np.zeros_like(w["model.embed_tokens.weight"])
    np.add.at(table, tokens, dx)
    g["model.embed_tokens.weight"] = table
    return loss, g


def save(path, w):
    """Writes a safetensors file."""
    header, at, parts = {}, 0, []
    for name in sorted(w):
        data = np.ascontiguousarray(w[name], np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(w[name].shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
