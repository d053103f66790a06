"""What the runs on relaxed equivariance compute, by kind of run; returns rows, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.soft_equivariance import counts, exact, pictures, timing, training
from pipelines.soft_equivariance.settings import Settings
from shared.runs.api import Context, Row

_STUDIES: dict[str, Callable[[Settings, Sequence[int], Context], dict[int, list[Row]]]] = {
    "count": counts.run,
    "exact": exact.run,
    "pictures": pictures.run,
    "timing": timing.run,
}


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Compute one arm with several seeds.

    Rows of a trained network (``study: ""``); layers are lift, block1_a, block1_b, block2_a, block2_b, last:
        ``parameters``;
        ``order`` (exactly equivariant to turns by 2 pi / order, `Settings.order`);
        ``train_loss`` by epoch; ``validation_accuracy`` (percent) by epoch, of the images scored in training;
        ``chosen_epoch``, the epoch that is tested, and ``chosen_validation_accuracy``, its score;
        ``draw_accuracy`` (percent of the test images) by draw of angles, ``test_accuracy`` their mean;
        ``turn_error`` by angle (90, 180, 270 degrees): relative change of the logits of 64 test images that
        are turned, after training; ``start_turn_error`` the same before; ``shift_error`` and
        ``start_shift_error``: difference, inside, of the lift of shifted images and the shifted lift;
        soft networks: ``omega_<layer>`` by epoch (0 and the tested one), omega' of the absolute coordinate;
        ``chosen_omega``, and where there are candidates ``candidate_validation_accuracy`` by candidate;
        partial networks: ``interval_<layer>`` (not lift) by epoch (0 and the tested one);
        ``step_seconds``, ``images_per_second``.
    Rows of ``study: count``: ``parameters``; ``parameters_<part>`` for each layer, shortcut (block1_shortcut,
        block2_shortcut), the batch norms together (norms), classifier and intervals; ``inputs_<layer kind>``
        with the layer kinds lift, group and shortcut: coordinates that its kernel network sees;
        ``absolute_angle``, ``absolute_position``: how many of these are absolute.
    Rows of ``study: timing``: ``train_seconds`` (a step) and ``inference_seconds`` (a batch), medians;
        ``strict_train_seconds``, ``strict_inference_seconds`` of the strict network with as many angles,
        and ``cnn_train_seconds``, ``cnn_inference_seconds``, from interleaved repeats on the same device;
        ``loss`` of the arm's network after these steps.
    Rows of ``study: exact`` (float64):
        E1 ``strict_residual`` by quarter turn in degrees (omega' = 0: relative change of the logits),
        ``translation_residual`` (lift, relaxed in T(2), omega' = 0, against conv2d), ``pooling_residual``
        (omega = omega' = 0 against a sum over the support), ``impulse_residual`` (against a pointwise
        product); ``control_residual`` (soft at omega' = 0 against the strict network with its weights);
        E2 ``coordinates_residual`` (the maps between (v^-1 u, u), (v^-1 u, v) and (u, v), inverted), and
        ``relative_pairs`` (pairs (u, v) for each v^-1 u);
        E3 ``circle_jump``, ``circle_jump_authors`` and ``circle_jump_real`` (largest jump of a kernel over a
        seam of the circle by its spread, with whole frequencies, those of the authors' branch, real ones);
        E4 ``rotation_shift_error``, ``rotation_turn_error`` (relaxed in SO(2): what shifts and quarter turns
        change), ``translation_shift_error``, ``translation_turn_error`` (relaxed in T(2));
        E5 ``neighbor_correlation`` by omega' (correlation of the kernels of neighboring pixels);
        and ``kept_<n>_<m>`` by degrees: relative change of the logits of a net with n angles and frozen whole
        frequencies m under turns, for n in 4, 8, 16 (the claim of ours: kept if 360/gcd(m, n) divides it).
    Rows of ``study: pictures``: ``figure1_<panel>`` by flat index of (3, 3, 7, 7), panels invariance,
        equivariance, nonequivariance, relaxed; ``operator_<panel>`` by flat index of (16, 16), rows u,
        columns v; ``figure3_strict``, ``figure3_relaxed`` by flat index of (8 angles, 25, 25).

    Raises:
        UserError: if the settings and the data set do not fit, or a training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    return _STUDIES.get(settings.study, training.run)(settings, seeds, context)
