"""verify: check results/ against the table; a violation is an error that names the rows.

It has no input, so that nothing is made again before it is checked, and no output, so that it runs whenever it is asked
for. (A benchmark would count as an output.)
"""


rule verify:
    log:
        "<logs>/verify/verify.log",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        results=lambda wildcards: results(),
        models=PREDICTORS,
    script:
        "../scripts/verify.py"
