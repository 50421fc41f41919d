"""plan: say for each cell whether the next run keeps it, predicts again, resumes or trains, and why.

prune: remove the training states that no cell of the study refers to, and cells that are no part of it.
init: write a commented config.yaml for a table (--config table=FILE target=COLUMN), where there is none yet.
All have neither input nor output: they run whenever they are asked for.
"""


rule plan:
    log:
        "<logs>/plan/plan.log",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        results=lambda wildcards: results(),
        specifications=SPECIFICATIONS,
        cores=adapter.jobs_at_once(workflow),
    script:
        "../scripts/plan.py"


rule prune:
    log:
        "<logs>/prune/prune.log",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        results=lambda wildcards: results(),
    script:
        "../scripts/prune.py"


rule init:
    log:
        "<logs>/init/init.log",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        request=INIT,
    script:
        "../scripts/init.py"
