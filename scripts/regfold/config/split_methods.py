"""What the values of split.method have in common."""

GROUPED = ("group", "stratified_group")
STRATIFIED = ("stratified", "stratified_group")
# Those that need split.column.
WITH_COLUMN = (*GROUPED, "time", "column")
