"""The simulator against PhiFlow, where it is installed: ``pip install --no-deps phiflow==2.4.0``."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.smoke import PhiFlow, phiflow_version
from shared.data import smoke

STEPS, SIZE = 4, 16


@pytest.mark.skipif(not phiflow_version(), reason="PhiFlow 2.4 is not installed")
def test_phiflow_gives_the_same_flow():
    """To the accuracy of its pressure, for weak and strong plumes at three sides."""
    import phi.flow

    plumes = [smoke.rotation_plumes()[number - 1] for number in (1, 27, 36)]
    with phi.flow.math.precision(64):
        box, theirs = smoke.Box(plumes, SIZE), PhiFlow(plumes, SIZE, tolerance=1e-9)
        for _ in range(STEPS):
            box.step()
            theirs.step()
        ours = box.smoke.numpy(), box.u[..., 1:-1].numpy(), box.v[:, 1:-1].numpy()
        assert np.abs(ours[1]).max() > 0.1
        for mine, other in zip(ours, theirs.arrays()):
            np.testing.assert_allclose(mine, other, atol=1e-7 * np.abs(mine).max())
