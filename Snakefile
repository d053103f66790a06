# snakemake --cores all reports                        train the demo, render every report (what `make` runs)
# snakemake --cores all reports --config tier=lite     train the recorded tier too, where it has no valid result
# snakemake --cores all reports --config train=never   only render
# More options: shared/workflow/options.py. On a cluster: --workflow-profile profiles/slurm
from shared.workflow import orchestrate

PLAN = orchestrate.planned(
    config,
    main=workflow.is_main_process,
    cores=workflow.resource_settings.cores,
    nodes=workflow.resource_settings.nodes,
)
DATA = PLAN.data()


rule reports:
    default_target: True
    input:
        "reports/index.html",
        "reports/demo/index.html" if PLAN.demo else [],
        [collection.outputs for collection in PLAN.collections],
        orchestrate.staleness.SYNC_DONE,


rule demo:
    input:
        "reports/demo/index.html",


rule experiments:
    input:
        [collection.outputs for collection in PLAN.collections],


rule data:
    input:
        list(DATA.values()),


# A data set: generated on the spot or fetched, and verified.
for name, files in DATA.items():

    rule:
        name:
            f"data_{name}"
        output:
            update(files),
        log:
            f"logs/data_{name}.log",
        localrule: True
        conda:
            "envs/cpu.yaml"
        params:
            name=name,
        shell:
            "bash scripts/logged.sh {log} python -m pipelines get {params.name}"


# Runs without a valid result, a few per job; none in a fresh clone that asks for a recorded tier.
# Finished runs are kept in the ignored store, so a job that fails or is killed goes on where it was.
for job in PLAN.jobs:

    rule:
        name:
            f"train_{job.name}"
        input:
            stamp=job.stamp,
            data=[ancient(file) for name in job.data for file in DATA[name]],
        output:
            touch(job.done),
        log:
            f"logs/train_{job.name}.log",
        benchmark:
            f"logs/train_{job.name}.tsv"
        conda:
            "envs/cpu.yaml"
        threads: job.threads
        resources:
            gpu=job.gpu,
            mem_mb=job.memory_mb,
            runtime=job.minutes,
        params:
            job=job.name,
            device=job.device,
        shell:
            "bash scripts/logged.sh {log} python -m pipelines batch --job {params.job}"
            " --device {params.device} --threads {threads} --no-collect"


# One experiment: the command that `dvc repro` calls, too. Its runs are trained by now, so that it collects them.
for collection in PLAN.collections:

    rule:
        name:
            f"experiment_{collection.name}"
        input:
            stamp=collection.stamp,
            jobs=collection.jobs,
        output:
            update(collection.outputs),
        log:
            f"logs/experiment_{collection.name}.log",
        localrule: True
        conda:
            "envs/cpu.yaml"
        params:
            paper=collection.paper,
            experiment=collection.experiment,
            tier=collection.tier,
        shell:
            "bash scripts/logged.sh {log} python -m pipelines.{params.paper} run {params.experiment} --tier {params.tier}"


# One paper's report: every table and figure, from results that are loaded once. folder is reports or
# reports/demo. Nothing is deleted first: a PNG stays as it is while it is a picture of its SVG.
for paper, folder in PLAN.reports:

    rule:
        name:
            f"report_{paper}" if folder == "reports" else f"demo_report_{paper}"
        input:
            stamp=orchestrate.staleness.of_report(paper, folder),
            results=PLAN.results(paper, folder),
        output:
            [
                report(
                    update(f"{folder}/{paper}/{file}"),
                    caption="shared/report/templates/caption.rst",
                    category=PLAN.title(paper, folder),
                    subcategory=kind,
                    labels={"name": name, "file": file},
                )
                for file, (kind, name) in PLAN.artefacts(paper).items()
            ],
        log:
            f"logs/{folder}_{paper}.log",
        localrule: True
        conda:
            "envs/cpu.yaml"
        params:
            paper=paper,
            demo="--demo" if folder == "reports/demo" else "",
        shell:
            "bash scripts/logged.sh {log} python -m pipelines.{params.paper} table {params.demo}"


# The page over all papers.
for folder in dict.fromkeys(folder for _, folder in PLAN.reports):

    rule:
        name:
            "page" if folder == "reports" else "demo_page"
        input:
            [f"{folder}/{paper}/report.md" for paper in PLAN.papers],
            stamp=orchestrate.staleness.of_page(folder),
        output:
            update([f"{folder}/index.html", f"{folder}/index.md"]),
        log:
            f"logs/{folder}_page.log",
        localrule: True
        conda:
            "envs/cpu.yaml"
        params:
            demo="--demo" if folder == "reports/demo" else "",
        shell:
            "bash scripts/logged.sh {log} python -m pipelines report --page {params.demo}"


# dvc.lock is written only for experiments whose results are all valid.
rule sync:
    input:
        stamp=orchestrate.staleness.SYNC,
        results=[collection.outputs for collection in PLAN.collections],
        data=[ancient(file) for files in DATA.values() for file in files],
    output:
        touch(orchestrate.staleness.SYNC_DONE),
    log:
        "logs/sync.log",
    localrule: True
    conda:
        "envs/cpu.yaml"
    shell:
        "bash scripts/logged.sh {log} python -m pipelines sync"


onstart:
    orchestrate.begin()


onsuccess:
    orchestrate.finish(PLAN)
