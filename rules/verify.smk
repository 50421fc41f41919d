"""verify: hold what is under results/ against the table; a violation ends it with an error that names the rows.

It has no input, so that nothing is made anew before it is looked at, and writes no result. (A benchmark would count as one, and the second run would do nothing.)
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
