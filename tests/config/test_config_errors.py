"""Guards the one line that a user reads when config.yaml is wrong: the whole line, for every mistake."""

from pathlib import Path

import pytest
import yaml
from regfold.config.resolve import resolve
from regfold.errors import RegfoldError

COLUMN = "a column's name (a text; put a number in quotes)"
ONE_MODEL = "at least one model, such as {l1: {penalty: {activity: {l1: 1.0e-4}}}}"
NAMES = "at most 100 letters, digits, '_', '.' and '-', a letter or a digit first"
ADAM_TAKES = "beta_1, beta_2, epsilon, amsgrad, clipnorm, clipvalue, global_clipnorm"
OPTIMIZERS = (
    "adam, adamw, adamax, adagrad, adadelta, adafactor, nadam, rmsprop, sgd, ftrl, lion, lamb, muon or "
    "schedulefreeadamw"
)
A_PATH = (
    "expected a number of at least 0, or a list of at least 2 such numbers, or a mapping such as {path: "
    "{from: 1.0e-6, to: 0.1, steps: 20}}"
)
ARGUMENTS = "n_features, n_outputs, output_activation, regularizers"
NETS = """\
def net(a, b, c, d): ...
def three(a, b, c): ...
def five(a, b, c, d, e, f=1): ...
def keyword(a, b, c, d, *, e): ...
"""


def data(text: str) -> str:
    return f"data: {{path: t.csv, target: y, {text}}}\nmodels: {{m: {{}}}}"


def section(name: str, text: str) -> str:
    return f"data: {{path: t.csv, target: y}}\nmodels: {{m: {{}}}}\n{name}: {text}"


def split(text: str) -> str:
    return section("split", f"{{{text}}}")


def training(text: str) -> str:
    return section("training", f"{{{text}}}")


def network(text: str) -> str:
    return section("network", f"{{{text}}}")


def models(text: str) -> str:
    return f"data: {{path: t.csv, target: y}}\nmodels: {text}"


def penalty(text: str) -> str:
    return models(f"{{m: {{penalty: {{{text}}}}}}}")


SECTIONS = "data, split, network, training, compare, predict, report, new_data, metrics, baselines or models"
MAPPING = f"expected a mapping with {SECTIONS.replace(' or ', ' and ')}"
CASES = [
    # The file as a whole.
    ("[1, 2]", f"found a list; {MAPPING}"),
    (
        "some text",
        f"found 'some text'; {MAPPING}",
    ),
    ("", "data.path: missing; expected a table's path or sklearn:NAME"),
    ("models: {m: {}}", "data.path: missing; expected a table's path or sklearn:NAME"),
    ("data: {path: t.csv}", f"data.target: missing; expected {COLUMN}, or a list of column names"),
    ("data: {path: t.csv, target: y}", f"models: missing; expected {ONE_MODEL}"),
    (models(""), f"models: missing; expected {ONE_MODEL}"),
    (models("{}"), f"models: missing; expected {ONE_MODEL}"),
    # Unknown keys.
    (training("epoch: 5"), "training.epoch: unknown key; did you mean 'epochs'?"),
    (section("trainin", "{}"), "trainin: unknown key; did you mean 'training'?"),
    (section("epochs", "3"), "epochs: unknown key; it belongs under 'training'"),
    (section("epoch", "3"), "epoch: unknown key; did you mean 'epochs' under 'training'?"),
    (section("seed", "3"), "seed: unknown key; it belongs under 'split' or under 'training'"),
    (section("penalty", "{}"), "penalty: unknown key; it belongs under 'models.NAME'"),
    (section("threads", "3"), f"threads: unknown key; expected {SECTIONS}"),
    (training("dropout: 0.1"), "training.dropout: unknown key; it belongs under 'models.NAME.penalty'"),
    (training("momentum: 0.9"), "training.momentum: unknown key; it belongs under 'training.optimizer'"),
    (data("column: a"), "data.column: unknown key; it belongs under 'split'"),
    (
        split("shuffle: true"),
        "split.shuffle: unknown key; expected method, folds, repeats, seed, column, file or gap",
    ),
    (models("{m: {epochs: 5}}"), "models.m.epochs: unknown key; it belongs under 'models.m.training'"),
    (models("{a.b: {dropout: 0}}"), "models.a.b.dropout: unknown key; it belongs under 'models.a.b.penalty'"),
    (models("{m: {data: {}}}"), "models.m.data: unknown key; it belongs at the top level"),
    (penalty("activation: {l1: 1}"), "models.m.penalty.activation: unknown key; did you mean 'activity'?"),
    (
        penalty("l1: 1"),
        "models.m.penalty.l1: unknown key; it belongs under 'models.m.penalty.kernel', "
        "under 'models.m.penalty.bias' or under 'models.m.penalty.activity'",
    ),
    (
        training("optimizer: {name: sgd, learning_rate: 0.1}"),
        "training.optimizer.learning_rate: unknown key; it belongs under 'training'",
    ),
    (
        training("early_stopping: {patients: 5}"),
        "training.early_stopping.patients: unknown key; did you mean 'patience'?",
    ),
    (section('"a\\nb"', "1"), f"a\\nb: unknown key; expected {SECTIONS}"),
    # An unknown key is told before a bad value that stands further up.
    (training("epochs: 0, batchsize: 1"), "training.batchsize: unknown key; did you mean 'batch_size'?"),
    # Keys that YAML does not read as text.
    (
        section("no", "1"),
        "the key false is not a text (YAML reads no, off, yes and on as true or false); put it in quotes",
    ),
    (section("3", "1"), "the key 3 is not a text; put it in quotes"),
    (models("{1: {}}"), "models: the key 1 is not a text; put it in quotes"),
    (models("{~: {}}"), "models: the key null is not a text; put it in quotes"),
    # Types and limits.
    (
        section("training", "[1]"),
        "training: found a list; expected a mapping with epochs, batch_size, optimizer, "
        "learning_rate, schedule, loss, class_weight, early_stopping, seed, seeds, checkpoint_seconds "
        "and on_divergence",
    ),
    (training("epochs: 0"), "training.epochs: 0 is out of range; expected an integer from 1 to 1000000"),
    (
        training("epochs: '-1e1'"),
        "training.epochs: '-1e1' is out of range; expected an integer from 1 to 1000000",
    ),
    (training("epochs: true"), "training.epochs: found true; expected an integer from 1 to 1000000"),
    (training("epochs: 2.5"), "training.epochs: found 2.5; expected an integer from 1 to 1000000"),
    (training("epochs: many"), "training.epochs: found 'many'; expected an integer from 1 to 1000000"),
    (training("epochs:"), "training.epochs: found no value; expected an integer from 1 to 1000000"),
    (training("epochs: [5]"), "training.epochs: found a list; expected an integer from 1 to 1000000"),
    (
        training("epochs: 1000001"),
        "training.epochs: 1000001 is out of range; expected an integer from 1 to 1000000",
    ),
    (split("repeats: 1001"), "split.repeats: 1001 is out of range; expected an integer from 1 to 1000"),
    (split("folds: 10001"), "split.folds: 10001 is out of range; expected an integer from 2 to 10000"),
    (training("learning_rate: 0"), "training.learning_rate: 0 is out of range; expected a number above 0"),
    (training("learning_rate: .nan"), "training.learning_rate: nan is not finite; expected a number above 0"),
    (
        training("learning_rate: 1e999"),
        "training.learning_rate: '1e999' is not finite; expected a number above 0",
    ),
    (training("learning_rate: no"), "training.learning_rate: found false; expected a number above 0"),
    (
        training("seed: 4294967296"),
        "training.seed: 4294967296 is out of range; expected an integer from 0 to 4294967295",
    ),
    (
        training("seeds: 0"),
        "training.seeds: 0 is out of range; expected an integer from 1 to 100",
    ),
    (
        training("checkpoint_seconds: -1"),
        "training.checkpoint_seconds: -1 is out of range; expected a number of at least 0",
    ),
    (training("class_weight: balance"), "training.class_weight: found 'balance'; did you mean 'balanced'?"),
    (training("on_divergence: stop"), "training.on_divergence: found 'stop'; expected warn or fail"),
    (
        training("early_stopping: true"),
        "training.early_stopping: found true; expected null, or a mapping with fraction and patience",
    ),
    (
        training("early_stopping: {fraction: 1}"),
        "training.early_stopping.fraction: 1 is out of range; expected a number above 0 and below 1",
    ),
    (
        network("hidden: 50"),
        "network.hidden: found 50; expected a list of integers of at least 1, such as [50, 25]",
    ),
    (
        network("hidden: [50, 0]"),
        "network.hidden, item 2: 0 is out of range; expected an integer of at least 1",
    ),
    (network("activation: rellu"), "network.activation: found 'rellu'; did you mean 'relu'?"),
    (
        network("activation: 3"),
        "network.activation: found 3; expected the Keras name of an activation, such as relu, tanh or gelu",
    ),
    # Optimizers and schedules.
    (training("optimizer: Adm"), "training.optimizer: found 'Adm'; did you mean 'adam'?"),
    (
        training("optimizer: 1"),
        f"training.optimizer: found 1; expected {OPTIMIZERS}, or a mapping with the "
        "optimizer's name and its options",
    ),
    (training("optimizer: {momentum: 0.5}"), f"training.optimizer.name: missing; expected {OPTIMIZERS}"),
    (
        training("optimizer: {name: adam, rho: 0.9}"),
        f"training.optimizer.rho: no option of adam; expected one of {ADAM_TAKES}",
    ),
    (
        training("optimizer: {name: sgd, momentum: 2}"),
        "training.optimizer.momentum: 2 is out of range; expected a number from 0 to 1",
    ),
    (
        training("optimizer: {name: sgd, nesterov: true}"),
        "training.optimizer.nesterov: has no effect without momentum; expected momentum above 0 with it",
    ),
    (
        training("optimizer: {name: adam, clipvalue: 1, clipnorm: 1}"),
        "training.optimizer.clipvalue: given together with clipnorm; expected only one of clipnorm, "
        "clipvalue and global_clipnorm",
    ),
    (
        training("optimizer: {name: lion, beta_1: 0}"),
        "training.optimizer.beta_1: 0 is out of range; expected a number above 0 and below 1 for lion",
    ),
    (training("schedule: cosin"), "training.schedule: found 'cosin'; did you mean 'cosine'?"),
    (
        training("schedule:"),
        "training.schedule: found no value; expected constant, cosine or exponential, or a mapping with the "
        "schedule's name and its option",
    ),
    (
        training("schedule: {name: cosine, decay_rate: 0.5}"),
        "training.schedule.decay_rate: no option of cosine; expected final",
    ),
    (
        training("schedule: {name: constant, final: 0.5}"),
        "training.schedule.final: no option of constant; expected the name alone",
    ),
    # A model's own sections are checked as the common ones are.
    (
        models("{m: {training: {optimizer: {name: sgd, beta: 1}}}}"),
        "models.m.training.optimizer.beta: no option of sgd; expected one of momentum, nesterov, clipnorm, "
        "clipvalue, global_clipnorm",
    ),
    (
        models("{m: {network: {build: nets.py:nett}}}"),
        "models.m.network.build: 'nets.py' defines no function 'nett'; did you mean 'net'?",
    ),
    # The user's own network.
    (network("build: nets.py"), "network.build: found 'nets.py'; expected FILE.py:FUNCTION"),
    (network("build: 3"), "network.build: found 3; expected FILE.py:FUNCTION or null"),
    (network("build: net.py:net"), "network.build: no file 'net.py'; did you mean 'nets.py'?"),
    (
        network("build: broken.py:net"),
        "network.build: 'broken.py', line 2: invalid syntax; expected a Python file",
    ),
    (
        network("build: unreadable.py:net"),
        "network.build: 'unreadable.py': Input/output error; expected a readable file",
    ),
    (
        network("build: deep.py:net"),
        "network.build: 'deep.py', line 1: too many nested parentheses; expected a Python file",
    ),
    (
        network("build: nets.py:missing"),
        "network.build: 'nets.py' defines no function 'missing'; expected a function at the file's top level",
    ),
    (
        network("build: nets.py:three"),
        "network.build: three(a, b, c) cannot be called with four positional arguments; "
        f"expected three({ARGUMENTS})",
    ),
    (
        network("build: nets.py:five"),
        "network.build: five(a, b, c, d, e, f=1) cannot be called with four positional arguments; "
        f"expected five({ARGUMENTS})",
    ),
    (
        network("build: nets.py:keyword"),
        "network.build: keyword(a, b, c, d, *, e) cannot be called with four positional arguments; "
        f"expected keyword({ARGUMENTS})",
    ),
    (
        models("{m: {network: {build: nets.py:net}, penalty: {dropout: 0.2}}}"),
        "models.m.penalty.dropout: 0.2 would be ignored, as network.build makes the layers; expected 0, and "
        "Dropout layers in the build function",
    ),
    # Models and strengths.
    (models("[a, b]"), f"models: found a list; expected {ONE_MODEL}"),
    (
        models("{m: 0.1}"),
        "models.m: found 0.1; expected a mapping with penalty, network, training, select and refit",
    ),
    (models("{my model: {}}"), f"models: 'my model' cannot name files; expected {NAMES}"),
    (models("{../x: {}}"), f"models: '../x' cannot name files; expected {NAMES}"),
    (models('{"a\\n": {}}'), f"models: 'a\\n' cannot name files; expected {NAMES}"),
    (models(f"{{{'a' * 101}: {{}}}}"), f"models: '{'a' * 60}...' cannot name files; expected {NAMES}"),
    (
        models("{l1: {}, L1: {}}"),
        "models.L1: differs from 'l1' in upper and lower case only, which file names may ignore; expected "
        "another name",
    ),
    (
        models("{aux: {}}"),
        "models.aux: Windows cannot write files of this name; expected another name",
    ),
    (
        models("{Com1.l1.x: {}}"),
        "models.Com1.l1.x: Windows cannot write files of this name; expected another name",
    ),
    (
        models("{Baseline_Linear: {}}"),
        "models.Baseline_Linear: is the name of a baseline; expected another name, or the list baselines",
    ),
    (
        models("{m: {}}\nbaselines: [linear, linear]"),
        "baselines: 'linear' is given twice; expected each once",
    ),
    (models("{l1.: {}}"), "models.l1.: Windows cannot write files of this name; expected another name"),
    (
        penalty("kernel: 1e-4"),
        "models.m.penalty.kernel: found '1e-4'; expected a mapping with l1, l2, l1_ratio, group, strength "
        "and proximal",
    ),
    (
        penalty("kernel: {l1: -1}"),
        "models.m.penalty.kernel.l1: -1 is out of range; expected a number of at least 0",
    ),
    (
        penalty("kernel: {l1: .inf}"),
        "models.m.penalty.kernel.l1: inf is not finite; expected a number of at least 0",
    ),
    (
        penalty("dropout: 1"),
        "models.m.penalty.dropout: 1 is out of range; expected a number of at least 0 and below 1",
    ),
    # Paths of strengths.
    (penalty("kernel: {l1: [1e-4]}"), f"models.m.penalty.kernel.l1: found a list; {A_PATH}"),
    (penalty("kernel: {l1: strong}"), f"models.m.penalty.kernel.l1: found 'strong'; {A_PATH}"),
    (
        penalty("kernel: {l1: [1e-4, -1]}"),
        "models.m.penalty.kernel.l1, item 2: -1 is out of range; expected a number of at least 0",
    ),
    (
        penalty("kernel: {l1: [1e-4, 0.0001]}"),
        "models.m.penalty.kernel.l1: 0.0001 is given twice; expected each once",
    ),
    (
        penalty("weight_decay: {path: {}}"),
        "models.m.penalty.weight_decay.path.from: missing; expected a number above 0",
    ),
    (
        penalty("kernel: {l2: {path: {from: 0, to: 1, steps: 5}}}"),
        "models.m.penalty.kernel.l2.path.from: 0 is out of range; expected a number above 0",
    ),
    (
        penalty("kernel: {l2: {path: {from: 1, to: 0.1, steps: 5}}}"),
        "models.m.penalty.kernel.l2.path.from: 1 is not below to, 0.1; expected from < to",
    ),
    (
        penalty("kernel: {l2: {path: {from: 0.1, to: 0.1000001, steps: 5}}}"),
        "models.m.penalty.kernel.l2.path.steps: 5 steps are too close together; expected fewer",
    ),
    (
        penalty("dropout: {path: {from: 0.1, to: 1, steps: 5}}"),
        "models.m.penalty.dropout.path.to: 1 is out of range; expected a number below 1",
    ),
    (
        penalty("dropout: [0, 0.1], kernel: {l1: [0, 0.1]}"),
        "models.m.penalty.dropout: a path besides kernel.l1; expected one path in a model",
    ),
    (
        models("{m: {penalty: {kernel: {l1: [0, 1]}}, refit: true}}"),
        "models.m.refit: true together with a path, whose strength is chosen by the folds' scores; expected "
        "false, or one strength in a model of its own",
    ),
    (
        models("{m: {penalty: {kernel: {l1: [0, 1]}}, training: {optimizer: lamb}}}"),
        "models.m.penalty.kernel.l1: a path with the optimizer lamb, which would mix the strengths; expected "
        "one number, or another optimizer",
    ),
    (
        models("{m: {penalty: {dropout: [0, 0.1]}, training: {optimizer: {name: adam, clipnorm: 1}}}}"),
        "models.m.penalty.dropout: a path with clipnorm, which would mix the strengths; expected one number, "
        "or another optimizer",
    ),
    (
        models("{m: {select: nested}}"),
        "models.m.select: nested would be ignored, as no strength is a path; expected a list of strengths, "
        "or min",
    ),
    # Elastic nets, groups and proximal steps.
    (
        penalty("kernel: {strength: 1}"),
        "models.m.penalty.kernel.strength: would be ignored; expected l1_ratio or group with it",
    ),
    (
        penalty("kernel: {group: input}"),
        "models.m.penalty.kernel.group: would be ignored, as kernel.strength is 0; expected a strength",
    ),
    (
        penalty("kernel: {group: input, l1_ratio: 1, strength: 1}"),
        "models.m.penalty.kernel.group: given together with l1_ratio; expected one of them",
    ),
    (
        penalty("kernel: {l1: 1, l1_ratio: 1, strength: 1}"),
        "models.m.penalty.kernel.l1: given together with l1_ratio; expected one of them",
    ),
    (
        penalty("kernel: {l2: 1, proximal: true}"),
        "models.m.penalty.kernel.proximal: true would be ignored, as there is no l1; expected false",
    ),
    (
        penalty("kernel: {l1: 1, proximal: true, group: input, strength: 1}"),
        "models.m.penalty.kernel.proximal: given together with group, which is proximal by itself; "
        "expected false",
    ),
    (
        models("{m: {penalty: {kernel: {l1: 1, proximal: true}}, training: {optimizer: rmsprop}}}"),
        "models.m.penalty.kernel.proximal: a proximal step with rmsprop; expected adam, adamw, or "
        "sgd without momentum, without clipping and amsgrad",
    ),
    (
        models(
            "{m: {penalty: {kernel: {group: input, strength: [1, 2]}}, "
            "training: {optimizer: {name: sgd, momentum: 0.9}}}}"
        ),
        "models.m.penalty.kernel.group: a proximal step with sgd (momentum 0.9); expected adam, adamw, or "
        "sgd without momentum, without clipping and amsgrad",
    ),
    # The table and its columns.
    ("data: {path: 3, target: y}", "data.path: found 3; expected a table's path or sklearn:NAME"),
    ("data: {path: tt.csv, target: y}\nmodels: {m: }", "data.path: no file 'tt.csv'; did you mean 't.csv'?"),
    (
        "data: {path: nowhere/t.csv, target: y}\nmodels: {m: }",
        "data.path: no file 'nowhere/t.csv'; expected a file, relative to the folder where snakemake runs",
    ),
    (
        "data: {path: t.xls, target: y}\nmodels: {m: }",
        "data.path: 't.xls' has an unknown ending; save it as .xlsx or as CSV UTF-8; expected .csv, .tsv, "
        ".csv.gz, .tsv.gz, .xlsx, .parquet or .feather, or sklearn:NAME",
    ),
    (
        "data: {path: 'sklearn:iris', target: y, decimal: ','}\nmodels: {m: }",
        "data.decimal: ',' would be ignored, as 'sklearn:iris' is not .csv, .tsv, .csv.gz or .tsv.gz; "
        "expected auto",
    ),
    (
        "data: {path: t.csv, target: y, sheet: A}\nmodels: {m: }",
        "data.sheet: 'A' would be ignored, as 't.csv' is not .xlsx; expected null",
    ),
    (
        "data: {path: t.csv, target: y, separator: ',', decimal: ','}\nmodels: {m: }",
        "data.decimal: ',' is data.separator too; expected '.', or another separator",
    ),
    (
        "data: {path: t.csv, target: y, dates: [d], exclude: [d]}\nmodels: {m: }",
        "data.dates: 'd' is in data.exclude; expected feature columns",
    ),
    (
        "data: {path: folder.csv, target: y}\nmodels: {m: }",
        "data.path: 'folder.csv' is a folder; expected a file",
    ),
    (
        f"data: {{path: {'a' * 300}.csv, target: y}}\nmodels: {{m: }}",
        f"data.path: '{'a' * 60}...': File name too long; expected a readable file",
    ),
    (
        "data: {path: 't{1}.csv', target: y}\nmodels: {m: }",
        "data.path: 't{1}.csv' has braces, which Snakemake takes for a wildcard; expected a path without",
    ),
    (
        split("method: file, file: 'f}.csv'"),
        "split.file: 'f}.csv' has braces, which Snakemake takes for a wildcard; expected a path without",
    ),
    (
        "data: {path: 'sklearn:irises', target: y}\nmodels: {m: }",
        "data.path: scikit-learn has no table 'irises'; did you mean 'iris'?",
    ),
    (
        "data: {path: 'sklearn:', target: y}\nmodels: {m: }",
        "data.path: scikit-learn has no table ''; expected iris, wine, breast_cancer, digits, diabetes or "
        "linnerud",
    ),
    (
        "data: {path: t.csv, target: 3}",
        f"data.target: found 3; expected {COLUMN}, or a list of column names",
    ),
    (
        "data: {path: t.csv, target: []}",
        f"data.target: found an empty list; expected {COLUMN}, or a list of column names",
    ),
    ("data: {path: t.csv, target: [a, 3]}", f"data.target, item 2: found 3; expected {COLUMN}"),
    ("data: {path: t.csv, target: [a, b, a]}", "data.target: 'a' is given twice; expected each once"),
    (
        "data: {path: t.csv, target: [a, b], task: classification}\nmodels: {m: }",
        "data.task: classification with 2 target columns; expected one target, or regression",
    ),
    (data("task: regress"), "data.task: found 'regress'; did you mean 'regression'?"),
    (data("id: y"), "data.id: 'y' is a target; expected a column that names the rows"),
    (data("weight: y"), "data.weight: 'y' is a target; expected a column of weights"),
    (data("id: i, weight: i"), "data.weight: 'i' is data.id; expected a column of weights"),
    (
        data("weight: g") + "\nsplit: {method: group, column: g}",
        "data.weight: 'g' is split.column; expected a column of weights",
    ),
    (data("categorical: [w], weight: w"), "data.categorical: 'w' is data.weight; expected feature columns"),
    (data("dates: [w], weight: w"), "data.dates: 'w' is data.weight; expected feature columns"),
    (data("id: ''"), f"data.id: found ''; expected {COLUMN} or null"),
    (data("exclude: [x, y]"), "data.exclude: 'y' is a target; expected other columns"),
    (data("exclude: x"), "data.exclude: found 'x'; expected a list of column names"),
    (data("categorical: all"), "data.categorical: found 'all'; expected auto, or a list of column names"),
    (data("categorical: [y]"), "data.categorical: 'y' is a target; expected feature columns"),
    (data("categorical: [i], id: i"), "data.categorical: 'i' is data.id; expected feature columns"),
    (
        data("categorical: [a], exclude: [a]"),
        "data.categorical: 'a' is in data.exclude; expected feature columns",
    ),
    (data("missing: NA"), "data.missing: found 'NA'; expected a list of texts, such as [NA, \"?\"]"),
    (
        data("missing: [NA, no]"),
        "data.missing, item 2: found false; expected a text or a number (put true, false, null and dates in "
        "quotes)",
    ),
    (data("missing_target: skip"), "data.missing_target: found 'skip'; expected error or drop"),
    # The split.
    (split("method: kfolds"), "split.method: found 'kfolds'; did you mean 'kfold'?"),
    (split("folds: 1"), "split.folds: 1 is out of range; expected an integer from 2 to 10000"),
    (
        split("method: group"),
        "split.column: missing; split.method is group, which needs the name of a column",
    ),
    (
        split("method: file"),
        "split.file: missing; split.method is file, which needs a CSV with the columns row,repeat,fold",
    ),
    (split("method: file, file: fold.csv"), "split.file: no file 'fold.csv'; did you mean 'folds.csv'?"),
    (split("method: file, file: folder.csv"), "split.file: 'folder.csv' is a folder; expected a file"),
    (
        split("column: a"),
        "split.column: 'a' would be ignored, as split.method is kfold; expected null, or the method group, "
        "stratified_group, time or column",
    ),
    (
        split("method: stratified, file: folds.csv"),
        "split.file: 'folds.csv' would be ignored, as split.method is stratified; expected null, or the "
        "method file",
    ),
    (split("gap: -1"), "split.gap: -1 is out of range; expected an integer of at least 0"),
    (split("gap: 1.5"), "split.gap: found 1.5; expected an integer of at least 0"),
    (
        split("gap: 1"),
        "split.gap: 1 would be ignored, as split.method is kfold; expected 0, or the method time",
    ),
    (
        split("method: time, column: a, repeats: 2"),
        "split.repeats: 2 with split.method time: time runs in one order only; expected 1",
    ),
    (
        split("method: column, column: a, repeats: 2"),
        "split.repeats: 2 with split.method column: the column fixes the folds; expected 1",
    ),
    (
        split("method: file, file: folds.csv, repeats: 2"),
        "split.repeats: 2 with split.method file: the file names its repeats itself; expected 1",
    ),
    (
        split("seed: 4294967295, repeats: 2"),
        "split.seed: 4294967295 with 2 repeats is out of range; expected seed + repeats of at most "
        "4294967296",
    ),
    # Classes that a regression has not.
    (
        data("task: regression") + "\nsplit: {method: stratified}",
        "split.method: stratified needs classes, but data.task is regression; expected another method, such "
        "as kfold",
    ),
    (
        "data: {path: t.csv, target: [y, z]}\nmodels: {m: }\nsplit: {method: stratified_group, column: a}",
        "split.method: stratified_group needs classes, but several targets are a regression; expected "
        "another method, such as group",
    ),
    (
        data("task: regression") + "\ntraining: {class_weight: balanced}",
        "training.class_weight: balanced needs classes, but data.task is regression; expected null",
    ),
    (
        "data: {path: t.csv, target: [y, z]}\nmodels: {m: {training: {class_weight: balanced}}}",
        "models.m.training.class_weight: balanced needs classes, but several targets are a regression; "
        "expected null",
    ),
    # Losses of the other task.
    (
        data("task: regression") + "\ntraining: {loss: focal}",
        "training.loss: focal, but data.task is regression: focal needs classes; expected auto, mse, mae, "
        "huber, log_cosh or poisson",
    ),
    (
        "data: {path: t.csv, target: [y, z]}\nmodels: {m: {training: {loss: crossentropy}}}",
        "models.m.training.loss: crossentropy, but several targets are a regression: crossentropy needs "
        "classes; expected auto, mse, mae, huber, log_cosh or poisson",
    ),
    (
        data("task: classification") + "\ntraining: {loss: mae}",
        "training.loss: mae, but data.task is classification: mae needs numbers; expected auto, "
        "crossentropy or focal",
    ),
    (training("loss: hubert"), "training.loss: found 'hubert'; did you mean 'huber'?"),
]


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,i,y,z\n")
    Path("folds.csv").write_text("row,repeat,fold\n")
    Path("folder.csv").mkdir()
    Path("nets.py").write_text(NETS)
    Path("deep.py").write_text("(" * 1000)
    Path("unreadable.py").symlink_to("/proc/self/mem")  # what root cannot read either
    Path("broken.py").write_text("x = 1\ndef net(:\n")


@pytest.mark.parametrize(("text", "message"), CASES, ids=[message[:50] for _, message in CASES])
def test_a_bad_config_ends_with_one_line(text, message, study):
    with pytest.raises(RegfoldError) as caught:
        resolve(yaml.safe_load(text))
    assert str(caught.value) == f"config.yaml: {message}"


def test_the_message_names_the_file_that_was_read():
    with pytest.raises(RegfoldError, match=r"^studies/a\.yaml: x: unknown key; "):
        resolve({"x": 1}, source="studies/a.yaml")


def test_of_several_bad_values_the_first_in_the_file_is_told(study):
    with pytest.raises(RegfoldError, match=r"training\.seed"):
        resolve(yaml.safe_load(training("seed: -1, epochs: 0")))
    with pytest.raises(RegfoldError, match=r"training\.epochs"):
        resolve(yaml.safe_load(training("epochs: 0, seed: -1")))


def test_a_path_that_only_the_machine_could_answer_for_is_one_line_too(study):
    with pytest.raises(RegfoldError) as caught:
        resolve({"data": {"path": "a\0b\n.csv", "target": "y"}, "models": {"m": {}}})
    assert str(caught.value).startswith("config.yaml: data.path: no file 'a\\x00b\\n.csv'")
