"""plan: say for each cell whether the next run keeps it, predicts again, resumes or trains, and why.

prune: remove the training states that no cell of the study refers to, and cells that are no part of it.
Both have neither input nor output: they run whenever they are asked for.
"""


rule plan:
    log:
        "logs/plan/plan.log",
    conda:
        "../envs/regfold.yaml"
    params:
        specifications=SPECIFICATIONS,
        cores=adapter.jobs_at_once(workflow),
    script:
        "../scripts/plan.py"


rule prune:
    log:
        "logs/prune/prune.log",
    conda:
        "../envs/regfold.yaml"
    script:
        "../scripts/prune.py"
