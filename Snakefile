"""regfold: how well does a regularized Keras network predict rows that it has never seen?

prepare_data -> split_folds -> train_fold (model x repeat x fold) -> merge_predictions (model)
             -> score_predictions -> render_report; also: fit_baseline, refit_model, save_model, measure_importance
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/config.smk"


configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"


# The first rule is the default target.
rule all:
    input:
        expand("<results>/{name}", name=RESULT_FILES),
        expand("<results>/oos/{model}.csv", model=PREDICTORS),
        expand(["<results>/path/{model}.csv", "<results>/oos_path/{model}.parquet"], model=SELECTS),
        expand("<results>/models/{model}", model=MODELS),
        every_cell,


include: "rules/prepare.smk"
include: "rules/split.smk"
include: "rules/train.smk"
include: "rules/baseline.smk"
include: "rules/importance.smk"
include: "rules/merge.smk"
include: "rules/save.smk"
include: "rules/score.smk"
include: "rules/report.smk"
include: "rules/predict.smk"
include: "rules/verify.smk"
include: "rules/plan.smk"
