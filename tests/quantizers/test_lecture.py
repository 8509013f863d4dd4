"""A number through four small codebooks, by hand: the example of docs/quantizers.md."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from codectok.codec.rvq import ResidualVQ

CODEBOOKS = [
    [0.0, 2.0, 4.0, 6.0, 8.0],
    [-0.8, -0.4, 0.0, 0.4, 0.8],
    [-0.4, -0.2, 0.0, 0.2, 0.4],
    [-0.08, -0.04, 0.0, 0.04, 0.08],
]


def test_a_number_through_four_codebooks() -> None:
    vq = ResidualVQ(1, [5, 5, 5, 5])
    for level, values in zip(vq.levels, CODEBOOKS, strict=True):
        level.set_vectors(torch.tensor(values)[:, None], torch.ones(5))
    codes = vq.encode(torch.tensor([[[6.85]]]))
    assert codes.flatten().tolist() == [3, 4, 2, 3]
    steps = [float(vq.decode(codes[:, : k + 1])) for k in range(4)]
    torch.testing.assert_close(torch.tensor(steps), torch.tensor([6.0, 6.8, 6.8, 6.84]))
    torch.testing.assert_close(6.85 - torch.tensor(steps), torch.tensor([0.85, 0.05, 0.05, 0.01]), rtol=0, atol=1e-6)


def test_the_page_says_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "quantizers.md").read_text()
    exec(page.split("```python\n")[1].split("```")[0], {})
    codes, two, four = capsys.readouterr().out.splitlines()
    assert codes == "[3, 4, 2, 3]"
    assert (float(two), float(four)) == (pytest.approx(6.8), pytest.approx(6.84))
