# Cross-validate an elastic net with glmnet, as asked for in a folder: rows.csv (y, then the columns of x),
# folds.csv (foldid), settings.csv (alpha) and lambda.csv; the strengths fall.
suppressPackageStartupMessages(library(glmnet))
glmnet.control(fdev = 0, devmax = 1)
args <- commandArgs(trailingOnly = TRUE)
read <- function(name) as.matrix(read.csv(file.path(args[1], name)))
rows <- read("rows.csv")
foldid <- read("folds.csv")[, 1]
lambda <- read("lambda.csv")[, 1]
alpha <- read("settings.csv")[1, 1]
x <- rows[, -1, drop = FALSE]
y <- rows[, 1]
cv <- cv.glmnet(x, y, alpha = alpha, lambda = lambda, foldid = foldid, thresh = 1e-14, maxit = 1e7)
path <- data.frame(lambda = cv$lambda, rmse = sqrt(cv$cvm), min = cv$lambda == cv$lambda.min,
                   one_se = cv$lambda == cv$lambda.1se, nonzero = cv$nzero)
write.csv(path, file.path(args[1], "path.csv"), row.names = FALSE)
# The network of fold 1, on its own training rows and at its own strengths.
own <- read("own.csv")[, 1]
train <- foldid != 1
fit <- glmnet(x[train, ], y[train], alpha = alpha, lambda = own, thresh = 1e-14, maxit = 1e7)
write.csv(as.matrix(coef(fit))[-1, ], file.path(args[1], "coefficients.csv"), row.names = FALSE)
