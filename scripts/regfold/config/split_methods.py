"""The values of split.method and their groups; splits/splitters.py has their rules."""

# The name of each in the report.
METHODS = {
    "kfold": "cross-validation",
    "stratified": "stratified cross-validation",
    "group": "cross-validation by groups",
    "stratified_group": "stratified cross-validation by groups",
    "time": "cross-validation forward in time",
    "column": "cross-validation over the values of a column",
    "file": "cross-validation on given folds",
}

GROUPED = ("group", "stratified_group")
STRATIFIED = ("stratified", "stratified_group")
# Those that need split.column.
WITH_COLUMN = (*GROUPED, "time", "column")
# Methods that are never repeated, and why.
SINGLE = {
    "time": "time runs in one order only",
    "column": "the column fixes the folds",
    "file": "the file names its repeats itself",
}
