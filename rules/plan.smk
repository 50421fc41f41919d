"""plan: print for each cell whether the next run keeps it, predicts again, resumes or trains, and why.
prune: remove training states that no cell refers to, and cells that are not part of the study.
init: write a commented config.yaml for a table (--config table=FILE target=COLUMN), if there is none yet.

They have neither input nor output, so that they run whenever they are asked for.
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
