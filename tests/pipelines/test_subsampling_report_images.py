"""The report's tables on images and networks: Table 2, its reduced twin, Figure 4, the inventory, costs."""

from __future__ import annotations

import pytest
from invented_subsampling import PAPER, Invented, report, statuses

from pipelines.subsampling import quantities, resnets, tables
from pipelines.subsampling.arms import (
    CONTROLS_REDUCED,
    DATASETS,
    EQUIVARIANCE,
    FIGURE4,
    PIXELS,
    REDUCED,
    ROLES,
)
from pipelines.subsampling.quantities import NOT_AT_HAND
from pipelines.subsampling.studies import networks, quarters, reduced, table2_controls
from pipelines.subsampling.studies_logs import shrinking
from pipelines.subsampling.tables import figure4, table2
from shared.report.results import Results

ONLY_NETWORKS = {"only": ("networks",)}


def cells(table):
    """Cells by row and column."""
    return {(row.key, column.key): cell for row, column, cell in table.cells()}


# -- Table 2 -----------------------------------------------------------------------------------------------


def test_table_2_repeats_numbers_like_the_papers():
    found = cells(table2(report(seeds=10)))
    for dataset in DATASETS:
        for role in ROLES:
            for column in ("seen", "unseen", "turned"):
                cell = found[f"{dataset}_{role}", column]
                assert cell.verdict.status == "reproduced"
                assert (
                    cell.published is PAPER["table2", f"{dataset}_{role}", column] or cell.published.printed
                )
                assert cell.sample.summary.mean == pytest.approx(cell.published.value, abs=0.01)
    exact = found["cifar10_exact", "invariance"].text
    assert exact == "1.5e-07 → 3.0e-07"


def test_unseen_rotations_with_and_without_0_degrees():
    found = cells(table2(report(seeds=5, only=("table2_cifar10",))))
    seen, unseen, turned = (
        found["cifar10_approximate", column].sample for column in ("seen", "unseen", "turned")
    )
    for seed, value in unseen.values.items():
        assert value == pytest.approx((seen.values[seed] + 3 * turned.values[seed]) / 4)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_data_set_that_was_not_run_says_why_and_what_it_takes(dataset):
    found = cells(table2(report(**ONLY_NETWORKS)))
    for role in ROLES:
        row = f"{dataset}_{role}"
        run = found[row, "run"].text
        assert run.startswith("not run: data not available\n") == (dataset in NOT_AT_HAND)
        assert run.startswith("not run")
        assert f"python -m pipelines.subsampling run table2_{dataset} --tier paper" in run
        assert "PFLOP a run, estimated" in run
        for column in ("seen", "unseen", "turned"):
            assert found[row, column].verdict.status == "not run"
            assert found[row, column].published.printed in "\n".join(found[row, column].lines())


@pytest.mark.parametrize(
    ("row", "cost"),
    [
        ("pcam_approximate", "35.1 PFLOP a run, estimated 0.65 h at 15 TFLOP/s"),
        ("pcam_exact", "36.7 PFLOP a run, estimated 0.68 h at 15 TFLOP/s"),
        ("flowers102_approximate", "266 PFLOP a run, estimated 0.49 h at 150 TFLOP/s"),
        ("flowers102_exact", "275 PFLOP a run, estimated 0.51 h at 150 TFLOP/s"),
        ("imagenet_approximate", "4,900 PFLOP a run, estimated 9.0 h at 150 TFLOP/s"),
    ],
)
def test_costs_are_six_times_multiplications_images_and_epochs(row, cost):
    """Fact sheet, section 10: 35 and 37 PFLOP (PCam), 266 and 275 (Flowers102), 4.9 EFLOP (ImageNet)."""
    assert cells(table2(report(**ONLY_NETWORKS)))[row, "run"].text.endswith(cost)


def test_without_the_inventory_no_cost_is_invented():
    found = cells(table2(report(tiers=())))
    assert "PFLOP" not in found["pcam_exact", "run"].text
    assert "experiment `networks`" in found["pcam_exact", "run"].text


def test_a_shorter_protocol_is_named_in_words():
    class Short(Invented):
        def environments(self, paper, experiment, tier):
            found = super().environments(paper, experiment, tier)
            for record in found.values():
                record["inputs"]["settings"] |= {"epochs": 20, "blocks": 2, "test_images": 5000}
            return found

    table = table2(Results("subsampling", source=Short(seeds=3, tiers=("lite",), only=("table2_cifar10",))))
    assert cells(table)["cifar10_exact", "run"].text.splitlines() == [
        "2 of 7 blocks a stage",
        "5,000 of 10,000 test images",
        "20 of 200 epochs",
    ]
    assert "Unlike in the paper: 2 of 7 blocks a stage" in table.caption


def test_a_setting_that_is_not_recorded_had_its_old_value():
    results = report(seeds=3, only=("table2_cifar10",))
    assert results.settings("table2_cifar10", "blocks", "resnet44_32") == []
    assert quantities.setting(results, "table2_cifar10", "blocks", "resnet44_32") == [0]
    assert (
        quantities.followed(results, "table2_cifar10", "resnet44_32")
        == "network, images and epochs as in the paper"
    )


# -- the reduced network, controls -------------------------------------------------------------------------


def test_the_reduced_network_is_never_compared_with_the_paper():
    table = reduced(report(seeds=5, tiers=("lite",)))
    assert {row.key for row in table.rows} == {*REDUCED, *CONTROLS_REDUCED}
    assert all(cell.published is None and cell.verdict is None for cell in cells(table).values())
    assert table.caption.startswith("**Not the paper's network:**")
    for words in ("1 of 7 blocks a stage", "8 of 16 fields", "20,000 of 50,000 training images"):
        assert words in table.caption
    assert cells(table)["p4resnet8_33", "gap"].text == "-"


def test_controls_compare_with_the_exact_network_at_33_pixels():
    found = cells(table2_controls(report(seeds=5, only=("table2_cifar10", "controls_cifar10"))))
    assert found["p4resnet44_32", "gap"].text.startswith("+1.39 [")
    assert found["p4resnet44_29", "gap"].text.startswith("-13.41 [")
    assert found["p4resnet44_33", "gap"].text == "-"
    mixed = Invented(seeds=5, tiers=("lite",), only=("table2_cifar10",))
    assert cells(table2_controls(Results("subsampling", source=mixed)))["p4resnet44_29", "gap"].text == "-"


def test_what_stands_in_for_the_papers_networks_does_not_count_as_theirs():
    table = tables.claims_table(report(seeds=5, tiers=("lite",), only=("table2_reduced",)))
    verdicts = {row.key: row.cells[0].verdict for row in table.rows}
    judged = {key for key, verdict in verdicts.items() if verdict.status != "not run"}
    assert judged
    assert all(verdicts[key].ours for key in judged)
    assert not any(verdicts[key].ours for key in ("S19", "S27-pcam", "S20-pcam", "S20-imagenet"))


def test_the_reduced_network_stands_in_for_claims_until_the_papers_was_run():
    found = statuses(report(seeds=5, tiers=("lite",), only=("table2_reduced",)))
    for key in ("S3-cifar10", "S15-reduced", "S18-stages-reduced", "S19-reduced", "S20-reduced"):
        assert found[key] == "reproduced"
    for key in ("S3", "S15-cifar10", "S19", "S20-pcam", "S20-imagenet"):
        assert found[key] == "not run", "another network on other data says nothing about the paper's"
    only = ("table2_reduced", "table2_cifar10", "figure4")
    both = statuses(report(seeds=5, tiers=("lite",), only=only))
    assert not [key for key in both if key.endswith("-reduced")]


# -- Figure 4 ----------------------------------------------------------------------------------------------


def test_figure_4_says_start_lowest_and_end():
    found = cells(figure4(report(seeds=5, only=("figure4",), growth=4.0)))
    cell = found[f"{FIGURE4[0]}_stage3", "energy"]
    assert cell.sample.summary.mean == pytest.approx(2 * 0.05 * 1.02)
    assert cell.note == "start 5.1e-02, lowest 2.6e-02"
    falling = cells(figure4(report(seeds=5, only=("figure4",), growth=0.25)))
    assert falling[f"{FIGURE4[0]}_stage3", "energy"].note == "start 5.1e-02, lowest 6.4e-03"
    assert found[f"{FIGURE4[1]}_accuracy", "mse"].text == "90.00 ± 0.00"


def test_figure_4_takes_the_reduced_network_only_if_it_must():
    few = figure4(report(seeds=3, tiers=("lite",), only=("table2_reduced",)))
    assert few.rows[2].key == "p4resnet8_32_stem"
    assert "1 of 7 blocks a stage" not in few.caption, "the paper's Figure 4 is of other networks"
    assert "on the same 320 test images" in few.notes[0]
    both = figure4(report(seeds=3, tiers=("lite",), only=("table2_reduced", "figure4")))
    assert both.rows[2].key == "p4resnet44_32_stem"


def test_figure_4_has_the_papers_panels_run_or_not():
    table = figure4(report(seeds=3, only=("figure4", "networks")))
    imagenet, pcam = table.rows[:2]
    assert imagenet.title == "ImageNet, p4 ResNet-18, 224 pixels: the paper's Figure 4a"
    assert pcam.title == "PCam, p4 ResNet-44, 96 pixels: the paper's Figure 4b"
    for row, words in ((imagenet, "4,900 PFLOP a run, estimated 9.0 h"), (pcam, "35.1 PFLOP a run")):
        said = cells(table)[row.key, "mse"].text
        assert said.startswith("not run: data not available\n`python -m pipelines.subsampling run")
        assert words in said
    run = figure4(report(seeds=3, only=("figure4", "table2_pcam", "table2_imagenet")))
    found = {row.key: row.title for row in run.rows}
    assert found["p4resnet18_224_stage4"] == "ImageNet, p4 ResNet-18, 224 pixels, approximate: stage 4"
    assert found["p4resnet44_97_stage3"] == "PCam, p4 ResNet-44, 97 pixels, exact: stage 3"
    assert found["p4resnet44_32_stage3"] == "CIFAR-10, p4 ResNet-44, 32 pixels, approximate: stage 3"
    assert "p4resnet44_97_stage4" not in found


@pytest.mark.parametrize(("change", "status"), [(0.02, "reproduced"), (0.05, "differs")])
@pytest.mark.parametrize(
    ("key", "experiment", "name", "images"),
    [("S3-cifar10", "table2_cifar10", "p4resnet44_33", 10_000), ("S3", "quarters", "p4cnn_28_full", 60_000)],
)
def test_s3_allows_two_images(key, experiment, name, images, change, status):
    class Off(Invented):
        def rows(self, experiment):
            place, made = (name, "accuracy", 90), super().rows(experiment)
            off = change * 10_000 / images
            return [(*r[:6], r[6] + off * ((r[2], r[4], r[5]) == place)) for r in made]

    results = Results("subsampling", source=Off(seeds=3, only=(experiment,)))
    assert statuses(results)[key] == status


def test_a_full_sweep_counts_images():
    found = cells(quarters(report(seeds=3, only=("quarters",))))
    assert found["p4cnn_28_full", "quarters"].text == "0 of 60,000"
    assert found["p4cnn_27_full", "quarters"].text == "12,000 of 60,000"
    assert found["p4cnn_27_full", "between"].text == "0 of 60,000", "the invented ones peak at 0 degrees only"


def test_shrinking_compares_with_the_logs_and_with_each_other():
    found = cells(shrinking(report(seeds=3, only=("shrinking",))))
    assert found["p4cnn_27_upright", "turned_change"].text == "-"
    assert found["p4cnn_27_averaged", "turned_change"].text.startswith("0.00 [")
    assert found["p4cnn_27_averaged", "upright_logs"].text.startswith("-1.52 [")  # 97.00 against 98.52
    assert found["p4cnn_27_averaged", "turned_logs"].text.startswith("+6.44 [")  # 77.00 against 70.56


# -- networks ----------------------------------------------------------------------------------------------


def test_the_inventory_reads_as_the_atlas_says():
    found = cells(networks(report(seeds=3, **ONLY_NETWORKS)))
    assert found["p4resnet44_cifar10", "parameters"].verdict.status == "reproduced"
    assert found["p4mcnn", "parameters"].verdict is None
    assert found["p4resnet18_flowers102", "macs"].text == "224: 108.7 G\n225: 112.3 G"
    assert found["p4cnn", "exact"].text.splitlines()[:2] == ["27: approximate from the pool on", "28: exact"]
    assert (
        found["resnet44_pcam", "exact"].text
        == "96: asymmetrically from stage 2 on\n97: samples symmetrically"
    )
    assert found["p4resnet18_imagenet_standard", "exact"].text.startswith("224: approximate from the stem on")
    assert found["p4resnet18_imagenet_standard", "nearest"].text == "224: 193 and 225"
    assert found["p4resnet44_cifar10", "nearest"].text.splitlines()[0] == "32: 29 and 33"
    assert found["p4mresnet44_cifar10", "mirrors"].text == "29, 33"
    assert found["p4resnet44_cifar10", "mirrors"].text == "-", "has no mirrors"


def test_a_network_that_is_exact_everywhere_contradicts_s21():
    class Everywhere(Invented):
        def rows(self, experiment):
            return [(*row[:6], 1.0 if row[4] == "exact" else row[6]) for row in super().rows(experiment)]

    source = Everywhere(seeds=3, **ONLY_NETWORKS)
    assert statuses(Results("subsampling", source=source))["S21"] == "differs"
    assert statuses(report(seeds=3, **ONLY_NETWORKS))["S21"] == "reproduced"


def test_sizes_of_the_papers_networks_are_those_that_are_built():
    for model, known in quantities.RESNETS.items():
        shape = resnets.SHAPES[model]
        assert (shape.blocks, shape.width) == (known["blocks"], known["width"])


@pytest.mark.parametrize("name", [name for name, word in EQUIVARIANCE.items() if word != "none"])
def test_words_for_equivariance_follow_from_the_remainders(name):
    """Exact iff (i + 2p - K) mod s is 0 at each subsampling layer; the atlas has its own tests."""
    pool, conv = (2, 2, 0), (3, 2, 1)
    layers = [pool] if "cnn" in name else [conv] * (3 if "resnet18" in name else 2)
    side, remainders = PIXELS[name], []
    for kernel, stride, padding in layers:
        steps, remainder = divmod(side + 2 * padding - kernel, stride)
        side, remainders = steps + 1, [*remainders, remainder]
    assert (not any(remainders)) == (EQUIVARIANCE[name] == "exact")
