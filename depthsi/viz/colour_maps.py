"""Colours by the name of a colour map.

The two colour maps that are used unless another is asked for are here, so that drawing needs no
matplotlib and does not wait for it. They are matplotlib's own tables: turbo is by A. Mikhailov
(Google, Apache-2.0, https://research.google/blog/turbo-an-improved-rainbow-colormap-for-visualization/).
RdBu has the colours of ColorBrewer: this product includes color specifications and designs
developed by Cynthia Brewer (https://colorbrewer.org/, Apache-2.0).
"""

import difflib

import numpy as np
from jaxtyping import Float, UInt8

from depthsi.errors import DepthsiError

# 256 colours each, as RGB in hexadecimal
_TURBO = (
    "30123b31154232184a341b51351e5836215f37236538266c3929723a2c793b2f7f3c32853c358b3d37913e3a96"
    "3f3d9c4040a14043a64145ab4148b0424bb5434eba4350be4353c24456c74458cb455bce455ed24560d64563d9"
    "4666dd4668e0466be3466de64670e84673eb4675ed4678f0467af2467df4467ff64682f84584f94587fb4589fc"
    "448cfd438efd4291fe4193fe4096fe3f98fe3e9bfe3c9dfd3ba0fc39a2fc38a5fb36a8f934aaf833acf631aff5"
    "2fb1f32db4f12bb6ef2ab9ed28bbeb26bde925c0e623c2e421c4e120c6df1ec9dc1dcbda1ccdd71bcfd41ad1d2"
    "19d3cf18d5cc18d7ca17d9c717dac417dcc217debf18e0bd18e1ba19e3b81ae4b61be5b41de7b11ee8af20e9ac"
    "22eba924eca627eda329eea02cef9d2ff09a32f19735f39438f4913bf48d3ff58a42f68746f7834af8804df97c"
    "51f97955fa7659fb725dfb6f61fc6c65fc6869fd656dfd6271fd5f74fe5c78fe597cfe5680fe5384fe5087fe4d"
    "8bfe4b8efe4892fe4695fe4498fe429bfd409efd3ea1fc3da4fc3ba6fb3aa9fb39acfa37aef937b1f836b3f835"
    "b6f735b9f534bbf434bef334c0f233c3f133c5ef33c8ee33caed33cdeb34cfea34d1e834d4e735d6e535d8e335"
    "dae236dde036dfde36e1dc37e3da37e5d838e7d738e8d538ead339ecd139edcf39efcd39f0cb3af2c83af3c63a"
    "f4c43af6c23af7c039f8be39f9bc39f9ba38fab737fbb537fbb336fcb035fcae34fdab33fda932fda631fda330"
    "fea12ffe9e2efe9b2dfe982cfd952bfd9229fd8f28fd8c27fc8926fc8624fb8323fb8022fa7d20fa7a1ff9771e"
    "f8741cf7711bf76e1af66b18f56817f46516f36315f26014f15d13ef5a11ee5810ed550fec520eea500de94d0d"
    "e84b0ce6490be5460ae3440ae24209e04008de3e08dd3c07db3a07d93806d73606d63405d43205d23005d02f04"
    "ce2d04cb2b03c92903c72803c52602c32402c02302be2102bb1f01b91e01b61c01b41b01b11901ae1801ac1601"
    "a91501a61401a31201a011019d10019a0e01970d01940c01910b018e0a018b09018708018407018106027d0502"
    "7a0402"
)
_RED_BLUE = (
    "67001f69001f6c011f6f02207203207504217805217b06227e0722810823840923870a248a0b248d0c25900d25"
    "930e26960f269910279b10279e1127a11228a41328a71429aa1529ad162ab0172ab2192bb41c2db51f2eb6212f"
    "b82431b92732bb2a33bc2d34be3036bf3237c03538c2383ac33b3bc53e3cc6403ec7433fc94641ca4942cc4c43"
    "cd4f44ce5146d05447d15749d35a4ad45d4bd6604dd7624fd86551d96853da6a55db6d57dd7059de725bdf755d"
    "e0785fe17b61e27d63e48065e58368e6856ae7886ce88b6eea8d70eb9072ec9374ed9676ee9878ef9b7af19e7c"
    "f2a07ef3a380f4a683f4a886f4aa88f5ac8bf5ae8ef5b090f6b293f6b496f7b698f7b99bf7bb9ef8bda1f8bfa3"
    "f8c1a6f9c3a9f9c5abf9c7aefacab1faccb4faceb6fbd0b9fbd2bcfbd4befcd6c1fcd8c4fddbc7fcdcc8fcddca"
    "fcdeccfcdfcefbe0d0fbe1d2fbe2d4fbe3d6fae4d7fae5d9fae7dbfae8ddf9e9dff9eae1f9ebe3f9ece5f9ede7"
    "f8eee8f8efeaf8f0ecf8f2eef7f3f0f7f4f2f7f5f4f7f6f6f6f6f6f4f5f6f3f5f6f1f4f6f0f3f5eef3f5edf2f5"
    "ebf1f4eaf1f4e8f0f4e7eff4e5eef3e4eef3e2edf3e1ecf3dfecf2deebf2dceaf2dbe9f1d9e9f1d8e8f1d6e7f1"
    "d5e7f0d3e6f0d2e5f0d1e5f0cee3efcce2eec9e1edc7dfedc4deecc2ddebbfdcebbddaeabad9e9b8d8e8b5d7e8"
    "b3d5e7b0d4e6aed3e6abd2e5a9d0e4a7cfe4a4cee3a2cde29fcbe19dcae19ac9e098c8df95c6df93c5de90c4dd"
    "8dc2dc8ac0db87beda84bcd980bad87db8d77ab6d677b4d574b2d371b0d26eaed16bacd068aacf65a8ce61a6cd"
    "5ea4cc5ba2cb58a0ca559ec9529cc84f9ac74c98c64996c54694c44393c34191c2408fc13f8dc03d8bbf3c8abe"
    "3b88bd3986bc3884bb3783ba3581b9347fb9337db8317cb7307ab62f78b52d76b42c75b32b73b22971b1286fb0"
    "276db0256caf246aae2368ad2166ac2064aa1f62a71e60a41d5ea11c5c9e1a5a9b195898185695175493165190"
    "154f8d144d8a134b871249841147810f457e0e437b0d40780c3e750b3c720a3a6f09386c083669073466063263"
    "053061"
)
_TABLES = {"turbo": _TURBO, "turbo_r": _TURBO, "RdBu": _RED_BLUE}


def colours(name: str, positions: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours of a colour map.

    Args:
      name: turbo, turbo_r or RdBu; or, if matplotlib is installed, any colour map it has.
      positions: 0 for the first colour, 1 for the last one; values beyond are clipped.

    Returns:
      RGB.

    Raises:
      DepthsiError: the colour map is matplotlib's, which is not installed or has no such one.

    Example:
      >>> import numpy as np
      >>> from depthsi.viz.colour_maps import colours
      >>> colours("turbo_r", np.array([0.0, 1.0])).tolist()  # red is near, blue is far
      [[122, 4, 3], [48, 18, 59]]
    """
    check_colour_map(name)
    table = _table(name)
    steps = (np.clip(positions, 0, 1) * len(table)).astype(np.intp)
    return table[np.minimum(steps, len(table) - 1)]


def check_colour_map(name: str) -> None:
    """Raises DepthsiError unless there is a colour map of this name."""
    if name in _TABLES:
        return
    require_matplotlib(f"The colour map {name!r}")
    from matplotlib import colormaps

    if name not in colormaps:
        near = difflib.get_close_matches(name, list(colormaps), 3) or [
            "turbo_r",
            "viridis",
            "magma",
        ]
        raise DepthsiError(
            f"There is no colour map {name!r}: choose another, such as {', '.join(near)}."
        )


def require_matplotlib(what: str) -> None:
    """Raises DepthsiError if matplotlib is not installed or does not start.

    Args:
      what: what needs it, as the subject of the message.
    """
    try:
        import matplotlib  # noqa: F401
    except ValueError as error:  # of its settings, such as the variable MPLBACKEND
        reason = " ".join(str(error).split())[:200]
        raise DepthsiError(f"matplotlib does not start ({reason}): correct MPLBACKEND.") from error
    except ImportError as error:
        raise DepthsiError(f"{what} needs matplotlib: run pip install 'depthsi[plot]'.") from error


def _table(name: str) -> UInt8[np.ndarray, "n 3"]:
    if name in _TABLES:
        table = np.frombuffer(bytes.fromhex(_TABLES[name]), np.uint8).reshape(-1, 3)
        return table[::-1] if name.endswith("_r") else table
    from matplotlib import colormaps

    found = colormaps[name]
    return found(np.arange(found.N), bytes=True)[:, :3]
