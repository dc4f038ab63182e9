"""Network files as modules of PyTorch, layer by layer. Nothing but PyTorch is imported, and that late."""
import xml.etree.ElementTree as ElementTree


def extent(text):
    sizes = [int(word) for word in text.split("x")]
    return (sizes[0], sizes[-1])


def kinds():
    """What PyTorch has no module for."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Residual(nn.Module):
        def __init__(self, body, shortcut, after):
            super().__init__()
            self.body, self.shortcut, self.after = body, shortcut, after

        def forward(self, x):
            y = self.body(x) + self.shortcut(x)
            return self.after(y) if self.after else y

    class Attention(nn.Module):
        def __init__(self, width, heads, causal):
            super().__init__()
            self.heads, self.causal = heads, causal
            self.ins, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            batch, tokens, width = x.shape
            q, k, v = (part.view(batch, tokens, self.heads, -1).transpose(1, 2) for part in self.ins(x).split(width, 2))
            if hasattr(functional, "scaled_dot_product_attention"):
                y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
            else:  # before 2.0
                scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
                if self.causal:
                    unseen = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
                    scores = scores.masked_fill(unseen, float("-inf"))
                y = scores.softmax(3) @ v
            return self.out(y.transpose(1, 2).reshape(batch, tokens, width))

    class Embedding(nn.Module):
        def __init__(self, vocabulary, tokens, width, places):
            super().__init__()
            self.table = nn.Embedding(vocabulary, width)
            self.places = nn.Parameter(torch.zeros(tokens, width)) if places else None

        def forward(self, x):
            return self.table(x) if self.places is None else self.table(x) + self.places

    return Residual, Attention, Embedding


def network(path):
    """A module for each layer of the file, the shape of a sample, and the vocabulary of its tokens (0: its inputs are
    numbers). Parameters are as PyTorch draws them."""
    import torch
    from torch import nn
    Residual, Attention, Embedding = kinds()
    activations = {"identity": None, "relu": nn.ReLU, "relu6": nn.ReLU6, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
                   "hardswish": nn.Hardswish, "silu": nn.SiLU, "gelu": lambda: nn.GELU("tanh")}

    def activation(e, default):
        kind = activations[e.get("activation", default)]
        return [kind()] if kind else []

    def block(e, shape):
        body, after = chain(e, shape)
        aside = e.find("shortcut")
        shortcut = nn.Identity() if aside is None else nn.Sequential(*chain(aside, shape)[0])
        act = activation(e, "identity")
        return [Residual(nn.Sequential(*body), shortcut, act[0] if act else None)], after

    def dense_block(e, shape):
        width = torch.Size(shape).numel()
        hidden = int(e.get("hidden", width))
        body = nn.Sequential(nn.Linear(width, hidden), *activation(e, "relu"), nn.Linear(hidden, width))
        return [Residual(body, nn.Identity(), None)], shape

    def window(e, shape, act):
        kind, outputs = e.tag, int(e.get("outputs", "0"))
        kernel = extent(e.get("kernel", f"{shape[1]}x{shape[-1]}"))
        stride = extent(e.get("stride")) if e.get("stride") else (1, 1) if kind == "conv2d" else kernel
        padding, groups = extent(e.get("padding", "0")), int(e.get("groups", "1"))
        places = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(shape[1:], padding, kernel, stride)]
        after = [outputs or shape[0]] + places
        if kind == "conv2d":
            bias = e.get("bias") != "no"
            return [nn.Conv2d(shape[0], outputs, kernel, stride, padding, 1, groups, bias)] + act, after
        return [(nn.MaxPool2d if kind == "maxpool" else nn.AvgPool2d)(kernel, stride, padding)], after

    def dense(e, shape, act):
        outputs, bias = int(e.get("outputs")), e.get("bias") != "no"
        if e.get("over") == "tokens":
            return [nn.Linear(shape[1], outputs, bias)] + act, [shape[0], outputs]
        flat = [nn.Flatten()] if len(shape) > 1 else []
        return flat + [nn.Linear(torch.Size(shape).numel(), outputs, bias)] + act, [outputs]

    def layer(e, shape):
        """The modules of one element, and the shape of what they make of `shape`."""
        kind = e.tag
        if kind == "residual":
            return block(e, shape) if len(e) else dense_block(e, shape)
        act = activation(e, "relu" if kind == "conv2d" else "identity")
        if kind in ("conv2d", "maxpool", "avgpool"):
            return window(e, shape, act)
        if kind == "dense":
            return dense(e, shape, act)
        made = {"batchnorm": lambda: nn.BatchNorm2d(shape[0]),
                "groupnorm": lambda: nn.GroupNorm(int(e.get("groups")), shape[0]),
                "layernorm": lambda: nn.LayerNorm(shape[1:] if e.get("over") == "tokens" else shape),
                "dropout": lambda: nn.Dropout(float(e.get("rate", "0.5"))),
                "attention": lambda: Attention(shape[1], int(e.get("heads", "1")), e.get("causal") == "yes"),
                "embedding": lambda: Embedding(int(e.get("vocabulary")), shape[0], int(e.get("outputs")),
                                               e.get("positions") != "no")}[kind]()
        return [made] + act, shape + [int(e.get("outputs"))] if kind == "embedding" else shape

    def chain(parent, shape):
        layers = []
        for e in parent:
            for _ in range(int(e.get("repeat", "1")) if e.tag != "shortcut" else 0):
                made, shape = layer(e, shape)
                layers.append(made[0] if len(made) == 1 else nn.Sequential(*made))
        return layers, shape

    root = ElementTree.parse(path).getroot()
    shape = [int(word) for word in root.get("input").split("x")]
    first = root.find("embedding")
    return chain(root, shape)[0], shape, 0 if first is None else int(first.get("vocabulary"))
