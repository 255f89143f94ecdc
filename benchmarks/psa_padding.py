"""PSA with q and k as narrow as the paper has them, and padded to the width of v so that the fused kernel runs.

python benchmarks/psa_padding.py
"""

import torch
from side_by_side import header, ratio
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

BATCH = 16
LEVELS = ((64, 64), (256, 32), (1024, 16), (4096, 128))  # tokens, channels


def main() -> None:
    """Forward alone, then forward and backward."""
    header()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for tokens, channels in LEVELS:
        batch = BATCH if tokens < 4096 else 2
        widths = (channels // 8, channels // 8, channels)
        q, k, v = (torch.randn(batch, 1, tokens, width, device=device, requires_grad=True) for width in widths)

        def narrow(q: Tensor = q, k: Tensor = k, v: Tensor = v) -> Tensor:
            return scaled_dot_product_attention(q, k, v, scale=1.0)

        def padded(q: Tensor = q, k: Tensor = k, v: Tensor = v) -> Tensor:
            missing = v.shape[3] - q.shape[3]
            return scaled_dot_product_attention(pad(q, (0, missing)), pad(k, (0, missing)), v, scale=1.0)

        title = f"{batch} x {tokens} tokens, {channels} channels"
        with torch.no_grad():
            ratio(f"{title}: narrow, padded", narrow, padded)
        ratio(f"{title}, training", lambda f=narrow: f().sum().backward(), lambda f=padded: f().sum().backward())


if __name__ == "__main__":
    main()
